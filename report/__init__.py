"""What is known about a build, for people: report.json's figures, and the page made of them."""
