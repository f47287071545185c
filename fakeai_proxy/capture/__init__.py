"""Inside a running mitmproxy: its modes of capture and its HTTP/2, our sources and recorder."""
