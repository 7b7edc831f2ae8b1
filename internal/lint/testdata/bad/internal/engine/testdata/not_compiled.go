package whatever

func X() { go X() }
