package broker

import (
	"container/heap"
	"math"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// timers are things to do at a time, ordered by (time, number): a total order.
type timers struct {
	heap timerHeap
	last uint64
}

type timer struct {
	at     env.Time
	number uint64
	do     func()
}

// at runs do once the time has come, in a Wake.
func (t *timers) at(when env.Time, do func()) {
	t.last++
	heap.Push(&t.heap, timer{when, t.last, do})
}

// next is when the earliest is due; the end of time if there is none.
func (t *timers) next() env.Time {
	if len(t.heap) == 0 {
		return math.MaxInt64
	}
	return t.heap[0].at
}

// fire runs what is due. What it adds for now or earlier waits for the next Wake.
func (t *timers) fire(now env.Time) {
	for n := len(t.heap); n > 0 && len(t.heap) > 0 && t.heap[0].at <= now; n-- {
		heap.Pop(&t.heap).(timer).do()
	}
}

// lived adds up how long the node has lived by its monotonic clock, in steps of maxStep
// at most: a clock may stand still for a while and then leap to where it should be, and
// what the node was told meanwhile would seem to be long ago.
type lived struct {
	sum, at env.Time
}

// maxStep is more than lies between two ticks, unless the node was paused.
const maxStep = env.Second

func (l *lived) advance(now env.Time) { l.sum, l.at = l.until(now), now }

func (l *lived) until(now env.Time) env.Time { return l.sum + min(now-l.at, maxStep) }

// uptime is how long the node has lived, in milliseconds; a pause may count for less than
// it was.
func (n *Node) uptime() api.Milliseconds {
	return api.Milliseconds(n.lived.until(n.world.Clock.Now()) / env.Millisecond)
}

type timerHeap []timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].number < h[j].number
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)   { *h = append(*h, x.(timer)) }
func (h *timerHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
