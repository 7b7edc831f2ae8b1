// Command x is what a user writes.
package main

import "time"

func main() {
	go println(time.Now().String())
}
