// Package concurrency breaks the rule of its name.
package concurrency

import (
	"context"
	_ "sync"        // want `the core imports sync: .* keep plain fields`
	_ "sync/atomic" // want `the core imports sync/atomic`
)

type queue struct {
	items chan int // want `the core has a channel: use a slice as the queue`
}

func (q queue) all() {
	go q.all()          // want `the core starts a goroutine`
	q.items <- 1        // want `the core sends on a channel`
	_ = <-q.items       // want `the core receives from a channel`
	for range q.items { // want `the core ranges over a channel`
	}
	select {} // want `the core selects`
}

func contexts(ctx context.Context) error {
	_ = context.Background() // want `the core uses context's Background`
	return ctx.Err()         // want `the core uses context's Err: end what is under way by an event`
}

func harmless(items []int, _ context.Context) {
	for range items {
	}
	for i := range 3 {
		_ = -i
	}
}
