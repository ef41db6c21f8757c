package core

import (
	"container/heap"

	"github.com/reprise-mq/reprise/broker/env"
)

// timer calls fire once when its time has come. Its owner arms it again and
// again; it must not be copied.
type timer struct {
	at env.Time
	// order breaks ties: what was armed first fires first.
	order uint64
	// position in the heap, from 1; 0 while not armed.
	position int
	fire     func()
}

// timers is a heap of the armed timers, in the order (at, order).
type timers struct {
	heap  timerHeap
	order uint64
}

// set arms a timer, or arms it anew.
func (t *timers) set(tm *timer, at env.Time) {
	t.stop(tm)
	t.order++
	tm.at, tm.order = at, t.order
	heap.Push(&t.heap, tm)
}

// stop disarms a timer; one that is not armed stays so.
func (t *timers) stop(tm *timer) {
	if tm.position > 0 {
		heap.Remove(&t.heap, tm.position-1)
	}
}

// due takes the first timer that is due, nil when there is none.
func (t *timers) due(now env.Time) *timer {
	if len(t.heap) == 0 || t.heap[0].at > now {
		return nil
	}
	return heap.Pop(&t.heap).(*timer)
}

// next is when the first timer is due.
func (t *timers) next() (env.Time, bool) {
	if len(t.heap) == 0 {
		return 0, false
	}
	return t.heap[0].at, true
}

// timerHeap implements heap.Interface.
type timerHeap []*timer

func (h timerHeap) Len() int { return len(h) }

func (h timerHeap) Less(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].order < h[j].order
}

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].position, h[j].position = i+1, j+1
}

// Push implements heap.Interface.
func (h *timerHeap) Push(x any) {
	t := x.(*timer)
	*h = append(*h, t)
	t.position = len(*h)
}

// Pop implements heap.Interface.
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.position = 0
	return t
}
