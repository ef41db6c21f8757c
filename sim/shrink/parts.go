package shrink

import (
	"maps"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/plan"
	"github.com/reprise-mq/reprise/workloads"
)

// nanoseconds in a millisecond, the two units of a plan's times.
const millisecond = histories.Time(1_000_000)

// The kinds of parts.
var (
	faults = kind{
		name:   "faults",
		count:  func(p *plan.Plan) int { return len(p.Faults) },
		remove: func(p *plan.Plan, from, to int) { p.Faults = slices.Delete(p.Faults, from, to) },
	}
	operations = kind{
		name:   "operations",
		count:  func(p *plan.Plan) int { return len(p.Operations) },
		remove: func(p *plan.Plan, from, to int) { p.Operations = slices.Delete(p.Operations, from, to) },
	}
	// A client goes by all of its operations: without any it does nothing.
	clients = kind{
		name:  "clients",
		count: func(p *plan.Plan) int { return len(clientsOf(p)) },
		remove: func(p *plan.Plan, from, to int) {
			gone := clientsOf(p)[from:to]
			p.Operations = slices.DeleteFunc(p.Operations, func(o workloads.Op) bool { return slices.Contains(gone, o.Client) })
		},
	}
	// A partition of the shared topic goes by all operations on it.
	partitions = kind{
		name:  "partitions",
		count: func(p *plan.Plan) int { return len(partitionsOf(p)) },
		remove: func(p *plan.Plan, from, to int) {
			gone := partitionsOf(p)[from:to]
			p.Operations = slices.DeleteFunc(p.Operations, func(o workloads.Op) bool {
				return shared(p, &o) && slices.Contains(gone, o.Partition)
			})
		},
	}
)

// clientsOf are the clients that do something, ascending.
func clientsOf(p *plan.Plan) []int {
	seen := make(map[int]bool)
	for i := range p.Operations {
		seen[p.Operations[i].Client] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// partitionsOf are those of the shared topic on which something is done, ascending.
func partitionsOf(p *plan.Plan) []api.Partition {
	seen := make(map[api.Partition]bool)
	for i := range p.Operations {
		if o := &p.Operations[i]; shared(p, o) {
			seen[o.Partition] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

func shared(p *plan.Plan, o *workloads.Op) bool { return o.Topic == p.Workload.Topic }

// late reports whether an operation begins after an end.
func late(end plan.Milliseconds) func(workloads.Op) bool {
	return func(o workloads.Op) bool { return o.At > histories.Time(end)*millisecond }
}
