package concurrency

import "sync"

// A test may do as it likes.
func inTests() {
	var wg sync.WaitGroup
	go wg.Wait()
}
