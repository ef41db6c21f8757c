package world

import "github.com/reprise-mq/reprise/broker/env"

// hand is a host's monotonic clock: at the agenda's time since it showed shows, and
// it goes on at rate. It never goes back.
type hand struct {
	since, shows env.Time
	rate         int64 // thousandths of the true rate; 0 before the first life
	frozen       bool
	stopped      env.Time // what it shows while frozen
}

// TrueRate is the rate of a clock that is right, in thousandths.
const TrueRate = 1000

// horizon is how far ahead a clock that drifts can set an alarm: ten days.
const horizon = 10 * 24 * 3600 * env.Second

// reads is what a hand that is not frozen shows at a time of the agenda.
func (d *hand) reads(now env.Time) env.Time {
	if d.rate == TrueRate {
		return d.shows + now - d.since
	}
	return d.shows + (now-d.since)*env.Time(d.rate)/TrueRate
}

// due is the first time of the agenda at which the hand shows at least t.
func (d *hand) due(t env.Time) env.Time {
	if d.rate == TrueRate {
		return d.since + t - d.shows
	}
	ahead := min(max(t-d.shows, 0), horizon)
	rate := env.Time(d.rate)
	return d.since + (ahead*TrueRate+rate-1)/rate
}

// setHand begins the clock of a life. A machine that starts has a clock that goes,
// at the rate that it had.
func (h *Host) setHand(shows env.Time) {
	if h.hand.rate == 0 {
		h.hand.rate = TrueRate
	}
	h.hand = hand{since: h.world.Agenda.Now(), shows: shows, rate: h.hand.rate}
}

// Drift makes the monotonic clock go at a rate, in thousandths of the true one, from
// 1; TrueRate ends it.
func (h *Host) Drift(rate int64) {
	if rate < 1 {
		panic("world: a clock that drifts goes on")
	}
	now := h.world.Agenda.Now()
	h.hand.shows, h.hand.since, h.hand.rate = h.hand.reads(now), now, rate
	h.resetAlarm()
}

// Freeze makes the monotonic clock stand still while the process goes on. No alarm
// rings.
func (h *Host) Freeze() {
	if !h.hand.frozen {
		h.hand.frozen, h.hand.stopped = true, h.hand.reads(h.world.Agenda.Now())
	}
}

// Thaw makes a frozen clock jump to what it would show by now.
func (h *Host) Thaw() {
	h.hand.frozen = false
	h.resetAlarm()
}

// ShiftWall puts the time of day off by so many milliseconds; 0 ends it.
func (h *Host) ShiftWall(by int64) { h.shift = by }

// SetClockRight ends all that is wrong with the clock.
func (h *Host) SetClockRight() {
	if h.hand.frozen {
		h.Thaw()
	}
	if h.hand.rate != TrueRate {
		h.Drift(TrueRate)
	}
	h.ShiftWall(0)
}

// alarm is the one wake-up that a process can ask for.
type alarm struct {
	asked bool
	// wanted is what the process's clock shows then, and at the agenda's time of
	// that, while asked.
	wanted, at env.Time
	// next is the time of the earliest event on the agenda that will look here;
	// below now if there is none.
	next env.Time
}

// clock is the clock of one life.
type clock struct {
	h    *Host
	life uint64
}

// epoch is the time of day at which every world begins, in milliseconds.
const epoch = 1_750_000_000_000

func (c clock) Now() env.Time {
	if c.h.hand.frozen {
		return c.h.hand.stopped
	}
	return c.h.hand.reads(c.h.world.Agenda.Now())
}

func (c clock) Wall() int64 {
	return epoch + int64(c.h.world.Agenda.Now()/env.Millisecond) + c.h.shift
}

func (c clock) WakeAt(t env.Time) {
	if c.h.life != c.life {
		return
	}
	c.h.alarm.asked, c.h.alarm.wanted = true, t
	c.h.resetAlarm()
}

// resetAlarm finds anew when the alarm is due.
func (h *Host) resetAlarm() {
	if h.alarm.asked {
		h.alarm.at = max(h.hand.due(h.alarm.wanted), h.world.Agenda.Now())
		h.setAlarm(h.life)
	}
}

// setAlarm sees to it that some event looks at the alarm when it is due.
func (h *Host) setAlarm(life uint64) {
	a := &h.alarm
	if a.next >= h.world.Agenda.Now() && a.next <= a.at {
		return
	}
	a.next = a.at
	h.world.Agenda.At(a.at, func() { h.ring(life) })
}

func (h *Host) ring(life uint64) {
	if h.life != life {
		return
	}
	a, now := &h.alarm, h.world.Agenda.Now()
	if a.next <= now {
		a.next = -1
	}
	switch {
	case !a.asked, h.hand.frozen: // a thaw sets a frozen clock's alarm again
	case a.at > now:
		h.setAlarm(life)
	default:
		a.asked = false
		h.world.Digest.Note(now, "wake", string(h.Name), h.life, nil)
		h.call(life, env.Process.Wake)
	}
}
