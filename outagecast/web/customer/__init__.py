"""What the person behind one address may see and choose."""
