package progress

import (
	"os"
	"time"
)

func helper() {
	_ = os.Args
	_ = time.Now()
	time.Sleep(time.Second) // want clock
	go helper()
}
