"""Screens: every feature of an SAE against declared outcomes, and the trial that follows."""
