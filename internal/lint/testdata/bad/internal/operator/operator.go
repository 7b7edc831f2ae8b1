package operator // want package-doc

import (
	"context"
	"sync"
	later "time"
)

// X starts things.
func X(f func()) {
	go f()                // want go-statement
	var wg sync.WaitGroup // want go-statement
	wg.Go(f)
	later.AfterFunc(1, f)                // want go-statement
	context.AfterFunc(context.TODO(), f) // want go-statement
	<-later.After(1)                     // want clock
	// FIXME: this line is wrong. want leftover
}

type clock struct{}

// Now is a method, not the clock of the machine.
func (clock) Now() {}

func y(time clock) { time.Now() }
