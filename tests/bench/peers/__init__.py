"""Other programs for the job, to be measured on the same wire in the same rounds."""

from tests.bench.peers import alertmanager, django_post_office, nodemailer, procrastinate
from tests.bench.peers.base import Availability, Job, Peer, Spent, Unavailable

PEERS: tuple[Peer, ...] = (alertmanager, nodemailer, django_post_office, procrastinate)

__all__ = ["PEERS", "Availability", "Job", "Peer", "Spent", "Unavailable"]
