// Package server is a shell, which meets the real world.
package server

import (
	"math/rand"
	"os"
	"sync"
	"time"
)

func shell(m map[string]float64) {
	var wg sync.WaitGroup
	go wg.Wait()
	c := make(chan int)
	select {
	case <-c:
	case <-time.After(time.Second):
	}
	for k := range m {
		os.Remove(k)
	}
	_ = rand.Int()
}
