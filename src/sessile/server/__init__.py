"""The HTTP and WebSocket service: standalone (`sessile serve`) or mounted by an integration."""
