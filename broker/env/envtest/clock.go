package envtest

import (
	"slices"
	"testing"

	"github.com/reprise-mq/reprise/broker/env"
)

var clockTests = []test{
	{"time does not go back", testMonotonic},
	{"a wake comes once and not early", testWake},
	{"a later call replaces the wake", testWakeReplaced},
	{"a wake in the past comes at once", testWakePast},
	{"a wake can ask for the next", testWakeChain},
}

func testMonotonic(t *testing.T, w World) {
	b := newBench(t, w)
	var times []env.Time
	for range 20 {
		b.host.Do(func() { times = append(times, b.clock.Now(), b.clock.Now()) })
		b.wantSync("", nil)
	}
	if !slices.IsSorted(times) {
		t.Fatalf("the clock went back: %v", times)
	}
	b.host.Do(func() {
		if b.clock.Wall() <= 0 {
			t.Errorf("the time of day is %d", b.clock.Wall())
		}
	})
}

// wakeIn asks for wakes, each replacing the one before, and gives the time of the
// last call.
func (b *bench) wakeIn(delays ...env.Time) (now env.Time) {
	b.host.Do(func() {
		for _, delay := range delays {
			now = b.clock.Now()
			b.clock.WakeAt(now + delay)
		}
	})
	return now
}

// wantWake expects exactly one more wake, not before t.
func (b *bench) wantWake(t env.Time) {
	b.t.Helper()
	b.await("a wake", b.see(func() bool { return len(b.woken) > 0 }))
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.woken[0] < t || len(b.woken) > 1 {
		b.t.Fatalf("woken at %v, asked for one wake at %v", b.woken, t)
	}
	b.woken = nil
}

func testWake(t *testing.T, w World) {
	b := newBench(t, w)
	at := b.wakeIn(5*env.Millisecond) + 5*env.Millisecond
	b.wantWake(at)
	// Nothing else comes, though a later wake of the same process would pass it.
	at = b.wakeIn(20*env.Millisecond) + 20*env.Millisecond
	b.wantWake(at)
}

func testWakeReplaced(t *testing.T, w World) {
	b := newBench(t, w)
	at := b.wakeIn(env.Millisecond, 20*env.Millisecond) + 20*env.Millisecond
	b.wantWake(at)
	at = b.wakeIn(100*env.Second, 2*env.Millisecond) + 2*env.Millisecond
	b.wantWake(at)
	// Replaced from another burst.
	b.wakeIn(30 * env.Millisecond)
	at = b.wakeIn(60*env.Millisecond) + 60*env.Millisecond
	b.wantWake(at)
}

func testWakePast(t *testing.T, w World) {
	b := newBench(t, w)
	at := b.wakeIn(0)
	b.wantWake(at)
	b.wakeIn(-env.Second)
	b.wantWake(at)
}

func testWakeChain(t *testing.T, w World) {
	b := newBench(t, w)
	b.mu.Lock()
	b.rearm = 9
	b.mu.Unlock()
	b.wakeIn(env.Millisecond)
	b.await("ten wakes", b.see(func() bool { return len(b.woken) == 10 }))
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range 9 {
		if b.woken[i+1]-b.woken[i] < env.Millisecond {
			t.Fatalf("wakes at %v, want a millisecond between two", b.woken)
		}
	}
}
