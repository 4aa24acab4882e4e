"""The playground's page: what is served, what it asks for, what it is told, and what it lets be saved."""
