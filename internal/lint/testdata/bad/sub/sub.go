package another

func X() { go X() }
