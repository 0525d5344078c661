"""Work of a command in several processes on Ray: its start and end, and whole stages as tasks."""
