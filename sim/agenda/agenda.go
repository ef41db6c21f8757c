// Package agenda is virtual time: what is to happen, in order of (time, number of
// the call that asked for it). Time jumps from one event to the next, so waiting
// costs nothing.
//
// It owns the clock and the queue. It never decides what happens.
package agenda

import "github.com/reprise-mq/reprise/broker/env"

// Agenda is a queue of events and the time of the last one taken.
type Agenda struct {
	now    env.Time
	asked  uint64
	taken  uint64
	events []event // a binary heap; the first is the next
}

type event struct {
	at     env.Time
	number uint64
	do     func()
}

// New gives an empty agenda at time 0.
func New() *Agenda { return &Agenda{} }

// Now is the time of the event that is happening.
func (a *Agenda) Now() env.Time { return a.now }

// Taken counts the events that have happened.
func (a *Agenda) Taken() uint64 { return a.taken }

// Len is the number of events still to come.
func (a *Agenda) Len() int { return len(a.events) }

// At asks for do to be called at t, or now if t has passed. Calls for the same
// time are made in the order in which they were asked for.
func (a *Agenda) At(t env.Time, do func()) {
	a.asked++
	a.events = append(a.events, event{at: max(t, a.now), number: a.asked, do: do})
	a.up(len(a.events) - 1)
}

// After asks for do to be called when d has passed.
func (a *Agenda) After(d env.Time, do func()) { a.At(a.now+d, do) }

// Next makes the next event happen, if there is one at or before the limit, and
// reports whether there was. Time never passes the limit.
func (a *Agenda) Next(limit env.Time) bool {
	if len(a.events) == 0 || a.events[0].at > limit {
		a.now = max(a.now, limit)
		return false
	}
	e := a.pop()
	a.now = e.at
	a.taken++
	e.do()
	return true
}

func (a *Agenda) pop() event {
	first, last := a.events[0], len(a.events)-1
	a.events[0] = a.events[last]
	a.events[last] = event{} // lets go of the closure
	a.events = a.events[:last]
	a.down(0)
	return first
}

func (a *Agenda) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !a.before(i, parent) {
			return
		}
		a.events[i], a.events[parent] = a.events[parent], a.events[i]
		i = parent
	}
}

func (a *Agenda) down(i int) {
	for {
		first := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(a.events) && a.before(child, first) {
				first = child
			}
		}
		if first == i {
			return
		}
		a.events[i], a.events[first] = a.events[first], a.events[i]
		i = first
	}
}

func (a *Agenda) before(i, j int) bool {
	x, y := &a.events[i], &a.events[j]
	if x.at != y.at {
		return x.at < y.at
	}
	return x.number < y.number
}
