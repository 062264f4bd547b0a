"""OpenIGTLink: codec, link, server and publisher."""
