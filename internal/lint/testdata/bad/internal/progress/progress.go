// Package progress is pure, or should be.
package progress

import (
	"math"
	"net/http"    // want pure
	"os"          // want pure
	"sync"        // want pure
	"sync/atomic" // want pure
	"time"

	"example.org/bad/internal/clock"    // want pure
	"example.org/bad/internal/operator" // want floor
)

// Now is not allowed to know.
func Now() time.Time { return time.Now() } // want clock

// D may have durations.
const D = 3 * time.Second

var (
	_ = math.Pi
	_ = http.Get
	_ = os.Open
	_ sync.Mutex
	_ atomic.Int64
	_ clock.Clock
	_ = operator.X
)
