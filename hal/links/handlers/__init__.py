"""pyserial URL handlers: ``serial_for_url("rigsim://NAME")`` finds ``protocol_rigsim`` in this package."""
