"""The command line: parses, calls one function below, prints. One file a command; torch is imported when one runs."""
