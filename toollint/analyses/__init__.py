"""What several rules share: ownership of resources, retention in containers, who registers what."""
