"""SMS through Twilio's Messages API, or a gateway that speaks it."""
