package main

import (
	"slices"

	"github.com/reprise-mq/reprise/netsim"
	"github.com/reprise-mq/reprise/sim/plan"
	"github.com/reprise-mq/reprise/workloads"
)

// knob is something in a plan that goes wrong, or that someone does, and that must
// have an effect.
type knob struct {
	name string
	// count says how many there are in a plan.
	count func(*plan.Plan) int
	// without takes the nth of them out, from 0.
	without func(p *plan.Plan, nth int)
	// told: a run counts how often it fired, under the name. What is not told fires
	// whenever it is planned.
	told bool
}

// knobs are all there are.
func knobs() []knob {
	var all []knob
	for _, kind := range plan.Kinds {
		all = append(all, faultKnob(kind))
	}
	all = append(all,
		actKnob("create-topic", workloads.Create), actKnob("delete-topic", workloads.Delete),
		actKnob("delete-records", workloads.Trim, workloads.TrimAll),
		setting("blackout", func(p *plan.Plan) bool { return p.Blackout }, func(p *plan.Plan) { p.Blackout = false }),
		setting("late flush", func(p *plan.Plan) bool { return p.Config.LateIn > 0 }, func(p *plan.Plan) { p.Config.LateIn = 0 }),
		setting("slower disks", func(p *plan.Plan) bool { return p.Config.DiskFactor > 1 }, func(p *plan.Plan) { p.Config.DiskFactor = 1 }),
	)
	for _, part := range usual {
		all = append(all, linkKnob(part))
	}
	for _, part := range worse {
		all = append(all, weatherKnob(part))
	}
	return all
}

// faultKnob is a kind of fault.
func faultKnob(kind plan.Kind) knob {
	is := func(f plan.Fault) bool { return f.Kind == kind }
	return knob{
		name: string(kind), told: true,
		count:   func(p *plan.Plan) int { return len(places(p.Faults, is)) },
		without: func(p *plan.Plan, nth int) { p.Faults = removeNth(p.Faults, is, nth) },
	}
}

// actKnob is an administrative act that clients do as operations.
func actKnob(name string, actions ...workloads.Action) knob {
	is := func(o workloads.Op) bool { return slices.Contains(actions, o.Action) }
	return knob{
		name: name, told: true,
		count:   func(p *plan.Plan) int { return len(places(p.Operations, is)) },
		without: func(p *plan.Plan, nth int) { p.Operations = removeNth(p.Operations, is, nth) },
	}
}

// setting is something that a plan has or not.
func setting(name string, on func(*plan.Plan) bool, off func(*plan.Plan)) knob {
	return knob{
		name: name, without: func(p *plan.Plan, _ int) { off(p) },
		count: func(p *plan.Plan) int {
			if on(p) {
				return 1
			}
			return 0
		},
	}
}

// linkPart is one thing that can be wrong with links.
type linkPart struct {
	name string
	of   func(*netsim.Profile) *int64
}

// The parts that links of a plan have all the time, and those of worse weather.
var (
	usual = []linkPart{longTail, loss, duplicate, reorder, damage, breaks, halfOpen}
	worse = []linkPart{latency, jitter, bandwidth, loss, duplicate, reorder, damage, breaks}

	latency   = linkPart{"latency", func(p *netsim.Profile) *int64 { return (*int64)(&p.Latency) }}
	jitter    = linkPart{"jitter", func(p *netsim.Profile) *int64 { return (*int64)(&p.Jitter) }}
	bandwidth = linkPart{"bandwidth", func(p *netsim.Profile) *int64 { return &p.BytesPerSecond }}
	longTail  = linkPart{"tail", func(p *netsim.Profile) *int64 { return &p.Tail }}
	loss      = linkPart{"loss", func(p *netsim.Profile) *int64 { return &p.Loss }}
	duplicate = linkPart{"duplicate", func(p *netsim.Profile) *int64 { return &p.Duplicate }}
	reorder   = linkPart{"reorder", func(p *netsim.Profile) *int64 { return &p.Reorder }}
	damage    = linkPart{"damage", func(p *netsim.Profile) *int64 { return &p.Damage }}
	breaks    = linkPart{"break", func(p *netsim.Profile) *int64 { return &p.Break }}
	halfOpen  = linkPart{"half-open", func(p *netsim.Profile) *int64 { return &p.HalfOpen }}
)

func linkKnob(part linkPart) knob {
	return setting("links: "+part.name,
		func(p *plan.Plan) bool { return *part.of(&p.Config.Network) > 0 },
		func(p *plan.Plan) { *part.of(&p.Config.Network) = 0 })
}

func weatherKnob(part linkPart) knob {
	is := func(f plan.Fault) bool { return f.Kind == plan.Weather && *part.of(&f.Worse) > 0 }
	return knob{
		name:    "weather: " + part.name,
		count:   func(p *plan.Plan) int { return len(places(p.Faults, is)) },
		without: func(p *plan.Plan, nth int) { *part.of(&p.Faults[places(p.Faults, is)[nth]].Worse) = 0 },
	}
}

// places are the indexes of what a list has of a kind.
func places[T any](list []T, is func(T) bool) (at []int) {
	for i, x := range list {
		if is(x) {
			at = append(at, i)
		}
	}
	return at
}

func removeNth[T any](list []T, is func(T) bool, nth int) []T {
	at := places(list, is)[nth]
	return slices.Delete(list, at, at+1)
}
