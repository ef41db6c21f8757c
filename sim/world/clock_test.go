package world

import (
	"testing"

	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/netsim"
)

// sleeper asks to be woken a second ahead, again and again.
type sleeper struct {
	env.Process // the rest of it is never called

	t     *testing.T
	clock env.Clock
	wants env.Time
	woken int
	last  env.Time
}

func (s *sleeper) Flush() {}

func (s *sleeper) Wake() {
	if now := s.clock.Now(); now < s.wants || now < s.last {
		s.t.Errorf("woken at %d, and %d was wanted; before, it was %d", now, s.wants, s.last)
	}
	s.woken++
	s.sleep()
}

func (s *sleeper) sleep() {
	s.last = s.clock.Now()
	s.wants = s.last + env.Second
	s.clock.WakeAt(s.wants)
}

// A clock that drifts or stands still takes its alarms with it, never goes back, and
// is right again in the end.
func TestClocks(t *testing.T) {
	w := newTestWorld(t, 1, netsim.Profile{})
	h := w.World.Host("h", Config{})
	s := &sleeper{t: t}
	h.Start(func(p Place) env.Process {
		s.clock = p.Clock
		s.sleep()
		return s
	})
	for _, c := range []struct {
		name    string
		do      func()
		seconds env.Time
		shows   env.Time // milliseconds that pass on the clock
		woken   int
	}{
		{"right", func() {}, 10, 10_000, 10},
		{"fast", func() { h.Drift(1100) }, 10, 11_000, 11},
		{"slow", func() { h.Drift(900) }, 10, 9_000, 9},
		{"frozen", func() { h.Drift(TrueRate); h.Freeze() }, 5, 0, 0},
		{"thawed", h.Thaw, 2, 7_000, 3},
		{"right again", h.SetClockRight, 10, 10_000, 10},
	} {
		from, woken, wall := s.clock.Now(), s.woken, s.clock.Wall()
		c.do()
		w.Run(w.Agenda.Now()+c.seconds*env.Second, func() bool { return false })
		if passed := s.clock.Now() - from; passed != c.shows*env.Millisecond {
			t.Errorf("%s: %d ns have passed on the clock, want %d ms", c.name, passed, c.shows)
		}
		if got := s.woken - woken; got < c.woken-1 || got > c.woken+1 {
			t.Errorf("%s: woken %d times, want %d", c.name, got, c.woken)
		}
		if passed := s.clock.Wall() - wall; passed != int64(c.seconds)*1000 {
			t.Errorf("%s: %d ms of the day have passed, want %d s", c.name, passed, c.seconds)
		}
	}
	wall := s.clock.Wall()
	h.ShiftWall(-5000)
	if back := wall - s.clock.Wall(); back != 5000 {
		t.Errorf("the time of day went back %d ms, want 5000", back)
	}
}
