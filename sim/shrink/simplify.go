package shrink

import (
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/netsim"
	"github.com/reprise-mq/reprise/sim/plan"
	"github.com/reprise-mq/reprise/workloads"
)

// fewerNodes tries ever more nodes, from one.
func (s *shrinker) fewerNodes() {
	s.stage = "nodes"
	for nodes := 1; nodes < s.best.Nodes; nodes++ {
		if s.try(func(p *plan.Plan) { p.Nodes = nodes }) {
			break
		}
	}
}

// simplify tries the clients and partitions that are in use alone, and a plainer
// world.
func (s *shrinker) simplify() {
	s.stage = "settings"
	for _, change := range plainer {
		s.try(change)
	}
}

// smallFile is how small segments, and what is written between checkpoints, are made:
// as small as a cluster takes.
const smallFile = 4096

// plainer are changes of the settings, those that take most away first.
var plainer = []func(*plan.Plan){
	dense,
	func(p *plan.Plan) { p.Workload.Clients = slices.Max(append(clientsOf(p), 0)) + 1 },
	// With small files, fewer operations fill them.
	func(p *plan.Plan) { p.Config.SegmentBytes = min(p.Config.SegmentBytes, smallFile) },
	func(p *plan.Plan) { p.Config.CheckpointBytes = min(p.Config.CheckpointBytes, smallFile) },
	func(p *plan.Plan) { p.Config.CopyBytes = max(p.Config.CopyBytes, int(p.Config.SegmentBytes)) },
	func(p *plan.Plan) { p.Config.CopyRate = 0 },
	func(p *plan.Plan) { p.Blackout = false },
	func(p *plan.Plan) {
		p.Config.Network = netsim.Profile{Latency: p.Config.Network.Latency, Jitter: p.Config.Network.Jitter}
	},
	func(p *plan.Plan) { p.Config.Network.Tail, p.Config.Network.TailLimit = 0, 0 },
	func(p *plan.Plan) { p.Config.Network.Loss = 0 },
	func(p *plan.Plan) { p.Config.Network.Duplicate = 0 },
	func(p *plan.Plan) { p.Config.Network.Reorder = 0 },
	func(p *plan.Plan) { p.Config.Network.Damage = 0 },
	func(p *plan.Plan) { p.Config.Network.Break = 0 },
	func(p *plan.Plan) { p.Config.Network.HalfOpen, p.Config.Network.HalfOpenLimit = 0, 0 },
	func(p *plan.Plan) { p.Config.LateIn, p.Config.LateMicros = 0, 0 },
	func(p *plan.Plan) { p.Config.DiskFactor = 1 },
	func(p *plan.Plan) { p.Config.Mixed = false },
	func(p *plan.Plan) { eachOp(p, func(o *workloads.Op) { o.Wait = 0 }) },
	func(p *plan.Plan) { eachOp(p, func(o *workloads.Op) { o.Count = min(o.Count, 1) }) },
	func(p *plan.Plan) { eachOp(p, func(o *workloads.Op) { o.Size = min(o.Size, histories.MinPayload) }) },
	func(p *plan.Plan) { p.Families = families(p) },
}

func eachOp(p *plan.Plan, change func(*workloads.Op)) {
	for i := range p.Operations {
		if o := &p.Operations[i]; o.Action != workloads.Create {
			change(o)
		}
	}
}

// dense numbers the partitions in use from 0, without gaps, and drops the rest.
func dense(p *plan.Plan) {
	number := make(map[api.Partition]api.Partition)
	for i, used := range partitionsOf(p) {
		number[used] = api.Partition(i)
	}
	for i := range p.Operations {
		if o := &p.Operations[i]; shared(p, o) {
			o.Partition = number[o.Partition]
		}
	}
	for i := range p.Faults {
		if t := &p.Faults[i].Target; t.Topic == p.Workload.Topic {
			t.Partition = int32(number[api.Partition(t.Partition)])
		}
	}
	p.Workload.Partitions = max(len(number), 1)
}

// families are those that the faults left belong to.
func families(p *plan.Plan) plan.Families {
	var f plan.Families
	for i := range p.Faults {
		switch p.Faults[i].Kind.Family() {
		case "process":
			f.Process = true
		case "disk":
			f.Disk = true
		case "network":
			f.Network = true
		case "clock":
			f.Clock = true
		case "load":
			f.Load = true
		case "topics": // no family that can be off
		default:
			f.Membership = true
		}
	}
	return f
}
