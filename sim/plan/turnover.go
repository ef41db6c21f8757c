package plan

import "github.com/reprise-mq/reprise/sim/prng"

// turnover has the cluster change all the time, where that is the workload: nodes join,
// leave, are lost and replaced, replicas and leaders move, and all nodes are started again
// one by one. What is copied for it is bounded to a rate.
func (g *generator) turnover() {
	w := &g.plan.Workload
	if !w.Moves() {
		return
	}
	s := g.seed.Split("turnover")
	g.plan.Config.CopyRate = s.Between(4, 24) * 64 * kibi
	shortest, longest := int64(1_000), int64(4_000)
	if w.Grouped() {
		shortest, longest = 3_000, 8_000
	}
	for at := between(s, 1_000, 3_000); at < g.plan.Safety-2*quiet; at += between(s, shortest, longest) {
		g.change(s, at)
	}
}

// change is one step of the turnover.
func (g *generator) change(s *prng.Stream, at Milliseconds) {
	last := g.plan.Safety - 2*quiet
	anyNode := Target{Node: int(s.Between(1, int64(g.plan.Nodes)+4))}
	switch n := s.Below(20); {
	case n < 2:
		g.then(Fault{Kind: Join, At: at})
	case n < 8: // one comes, and perhaps before it is there, another goes
		g.then(Fault{Kind: Join, At: at})
		g.then(Fault{Kind: Leave, At: min(at+between(s, 0, 3_000), last), Target: anyNode})
	case n < 14:
		g.then(Fault{Kind: Move, At: at, Target: g.partition(s)})
	case n < 17:
		g.then(Fault{Kind: Elect, At: at, Target: g.partition(s), Strength: s.Below(4) / 3})
	case n < 18 && g.plan.Families.Process:
		g.then(Fault{Kind: RollingRestart, At: at, Length: between(s, 6_000, 12_000)})
	case n < 19 && g.plan.Families.Disk:
		g.then(Fault{Kind: LostDisk, At: at, Target: anyNode, Length: between(s, 0, 3_000)})
	default:
		g.then(Fault{Kind: Leave, At: at, Target: anyNode})
	}
}
