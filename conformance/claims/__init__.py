"""The claims: a catalogue of sentences, and one pytest module for each family of them."""
