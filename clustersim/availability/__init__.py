"""When nodes fail, arrive, retire, serve and return."""
