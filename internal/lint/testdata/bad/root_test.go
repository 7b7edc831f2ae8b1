package bad_test

func Example() {
	bad.ShardCount()
	bad.EventTime()
	bad.Event()
	bad.Handle[int]{}.Shown()
	// Output:
}

func ExampleUnshown() {
	bad.Unshown()
	bad.Handle[int]{}.Dark()
}
