package plan

import (
	"github.com/reprise-mq/reprise/netsim"
	"github.com/reprise-mq/reprise/sim/prng"
)

// scenarios adds sequences of faults that found real bugs elsewhere, which faults
// drawn one by one would rarely make. Each takes only families that are on.
func (g *generator) scenarios() {
	f := &g.plan.Families
	g.scenario("minority behind", f.Process && f.Network, g.minorityBehind)
	g.scenario("double failover", f.Process, g.doubleFailover)
	g.scenario("long absence", f.Process, g.longAbsence)
	g.scenario("move in trouble", f.Membership && (f.Process || f.Network), g.moveInTrouble)
	g.scenario("stale source", f.Disk, g.staleSource)
	g.scenario("dirty pages", f.Process, g.dirtyPages)
	g.scenario("rotten absence", f.Process && f.Disk, g.rottenAbsence)
	g.scenario("interrupted copy", f.Membership && f.Process && f.Network, g.interruptedCopy)
	// Among other faults a read is seldom where the sleeper must meet it.
	for _, name := range []string{"deaf sleeper", "deaf sleeper again", "deaf sleeper once more"} {
		g.scenario(name, f.Process && f.Network, g.deafSleeper)
	}
	g.scenario("sync error in transfer", f.Process && f.Disk && f.Membership, g.syncErrorInTransfer)
	g.scenario("heir behind", f.Process && f.Network && f.Membership, g.heirBehind)
	g.scenario("voter in the dark", f.Process && f.Network, g.voterInTheDark)
}

// scenario takes place once or twice in one in two seeds whose families allow it.
func (g *generator) scenario(name string, possible bool, play func(*prng.Stream, Milliseconds)) {
	s := g.seed.Split(name)
	if !possible || s.Chance(1, 2) {
		return
	}
	for range s.Between(1, 2) {
		play(s, between(s, int64(quiet), int64(g.plan.Safety)-20_000))
	}
}

func (g *generator) then(f Fault) {
	f.Length = min(f.Length, g.plan.Safety-f.At)
	g.plan.Faults = append(g.plan.Faults, f)
}

// minorityBehind keeps a follower behind, then takes the leader away and the power
// of the other follower, so that the majority left is made of a stale one and one
// that has just lost what it had not synced.
func (g *generator) minorityBehind(s *prng.Stream, at Milliseconds) {
	follower := g.partition(s)
	follower.Role = Follower
	leader, other := follower, follower
	leader.Role, other.Nth = Leader, 1
	length := between(s, 1_000, 5_000)
	g.then(Fault{Kind: Isolate, At: at, Length: length, Target: follower})
	g.then(Fault{Kind: Crash, At: at + length, Length: between(s, 10, 300), Target: other, Lose: 100, Moment: Syncing})
	g.then(Fault{Kind: Crash, At: at + length, Length: between(s, 3_000, 8_000), Target: leader, Lose: 100, Moment: Proposing})
}

// doubleFailover hits the next leader before or soon after it is elected.
func (g *generator) doubleFailover(s *prng.Stream, at Milliseconds) {
	target := g.partition(s)
	target.Role = Leader
	for range s.Between(2, 3) {
		f := Fault{Kind: Crash, At: at, Target: target, Moment: Proposing, Delay: s.Below(500)}
		crash(s, &f)
		f.Length = between(s, 500, 3_000)
		g.then(f)
		at += between(s, 300, 1_500)
	}
}

// deafSleeper puts a leader to sleep while it asks whether it still leads, and cuts it
// off from the other nodes once they have answered. It wakes up to find these answers
// and reads that came later, and nothing of the leader that there is by then.
func (g *generator) deafSleeper(s *prng.Stream, at Milliseconds) {
	target := g.partition(s)
	target.Role = Leader
	for range s.Between(2, 4) {
		length := between(s, 1_000, 2_600)
		g.then(Fault{Kind: Pause, At: at, Length: length, Target: target, Moment: Asking, Delay: s.Below(100)})
		g.then(Fault{Kind: Isolate, At: at, Length: length + 500, Target: target, Moment: Asking, Delay: s.Between(20_000, 100_000)})
		if at += length + between(s, 2_000, 3_500); at > g.plan.Safety-5_000 {
			break
		}
	}
}

// longAbsence keeps a node down while others go on, perhaps beyond the log's start.
func (g *generator) longAbsence(s *prng.Stream, at Milliseconds) {
	f := Fault{Kind: Crash, At: at, Target: g.target(s)}
	crash(s, &f)
	f.Length = between(s, 8_000, 25_000)
	g.then(f)
}

// moveInTrouble moves a replica, and soon after something happens to a node that
// may have to do with it.
func (g *generator) moveInTrouble(s *prng.Stream, at Milliseconds) {
	partition := g.partition(s)
	at = max(at, 12_000)
	g.then(Fault{Kind: Move, At: at, Target: partition})
	f := Fault{At: at + between(s, 0, 1_500), Length: between(s, 200, 4_000)}
	f.Target = partition
	if s.Chance(1, 2) {
		f.Target.Role = Leader
	} else {
		f.Target = Target{Node: int(s.Between(1, int64(g.plan.Nodes)+1))}
	}
	if g.plan.Families.Process && (!g.plan.Families.Network || s.Chance(1, 2)) {
		length := f.Length
		f.Kind = Crash
		crash(s, &f)
		f.Length = length
	} else {
		f.Kind = Isolate
	}
	g.then(f)
}

// dirtyPages kills a node, or two, and, once it is back and at work, cuts its power:
// what it found on its disk after the kill may never have been synced.
func (g *generator) dirtyPages(s *prng.Stream, at Milliseconds) {
	first, both := s.Below(int64(g.plan.Nodes)), s.Chance(1, 2)
	back, again := between(s, 10, 200), between(s, 10, 1_500)
	for i := range int64(2) {
		node := Target{Node: int((first+i)%int64(g.plan.Nodes)) + 1}
		g.then(Fault{Kind: Kill, At: at, Length: back, Target: node, Moment: Syncing, Delay: s.Below(300)})
		g.then(Fault{
			Kind: Crash, At: at + back + again, Length: between(s, 200, 2_000), Target: node,
			Lose: 100, Moment: Syncing, Delay: s.Below(300),
		})
		if !both {
			break
		}
	}
}

// syncErrorInTransfer has syncs of a leader and of a follower fail while the leader hands
// over, and soon after takes the power of all: what a failed sync was to cover is gone,
// and must not have counted.
func (g *generator) syncErrorInTransfer(s *prng.Stream, at Milliseconds) {
	target := g.partition(s)
	leader, follower := target, target
	leader.Role, follower.Role = Leader, Follower
	g.then(Fault{Kind: Elect, At: at, Target: target})
	g.then(Fault{Kind: FailSync, At: at + between(s, 0, 20), Length: 500, Target: leader})
	g.then(Fault{Kind: FailSync, At: at + between(s, 0, 20), Length: 500, Target: follower})
	g.then(Fault{Kind: CrashAll, At: at + between(s, 10, 400), Length: between(s, 500, 2_000), Lose: 100})
}

// staleSource has reads of some nodes miss writes while another gets from them what it
// lacks: its segments are damaged, or it is to have a new replica.
func (g *generator) staleSource(s *prng.Stream, at Milliseconds) {
	if g.plan.Families.Membership && s.Chance(1, 2) {
		g.stranger()
		target := g.partition(s)
		at = max(at, 12_000)
		g.then(Fault{Kind: Move, At: at + 50, Target: target})
		target.Role = Leader
		g.then(Fault{Kind: StaleRead, At: at, Target: target, Moment: Copying, Strength: s.Between(5, 30)})
		return
	}
	victim := g.rotten()
	// What is not synced cannot rot.
	at, g.plan.Config.CheckpointBytes = max(at, 20_000), min(g.plan.Config.CheckpointBytes, 24*kibi)
	for node := range int64(g.plan.Nodes) {
		f := Fault{Kind: StaleRead, At: at, Target: Target{Node: int(node) + 1}, Moment: Mending, Strength: s.Between(2, 12)}
		if node == victim {
			f.Kind, f.Moment, f.Strength = BitFlip, AtOnce, s.Between(10, 40)
		}
		g.then(f)
	}
}

// fullLeader leaves no room on the disk of the leader alone.
func (g *generator) fullLeader(s *prng.Stream, at Milliseconds) {
	target := g.partition(s)
	target.Role = Leader
	g.then(Fault{Kind: FullDisk, At: at, Length: between(s, 3_000, 9_000), Target: target, Strength: s.Below(4)})
}

// voterInTheDark cuts a leader off until the others have elected one, takes the power
// of the node whose vote decided that, and puts the new leader to sleep. When the voter
// is back it is asked for its vote by the first leader, which knows nothing of the term
// that it has voted in. If it has forgotten, two nodes lead in one term once the sleeper
// wakes up, and the voter takes entries of both for the same.
func (g *generator) voterInTheDark(s *prng.Stream, at Milliseconds) {
	target := g.partition(s)
	first := target
	first.Role = Leader
	g.then(Fault{Kind: Isolate, At: at, Length: between(s, 900, 1_500), Target: first})
	g.then(Fault{Kind: Crash, At: at + 1, Length: between(s, 10, 100), Target: target, Lose: 100, Moment: Voting, Delay: s.Below(200)})
	g.then(Fault{Kind: Pause, At: at + 1, Length: between(s, 800, 1_800), Target: target, Moment: Elected})
}

// heirBehind moves replicas while two nodes hear nothing from the leader of the meta group,
// but all from those of the partitions, and then takes the power of the latter: who leads
// next may not know of the move that its log has, nor the node whose replica is out by then.
func (g *generator) heirBehind(s *prng.Stream, at Milliseconds) {
	g.stranger()
	if g.plan.Nodes == 3 {
		g.then(Fault{Kind: Join, At: 2 * quiet})
	}
	target, at := g.partition(s), max(at, 12_000)
	length := between(s, 5_000, 8_000)
	for range 2 {
		g.then(Fault{Kind: CutPair, At: at, Length: length, Target: Target{Role: MetaLeader}})
	}
	for p := range g.plan.Workload.Partitions {
		target.Partition = int32(p)
		target.Role = ""
		g.then(Fault{Kind: Move, At: at + between(s, 0, 500), Target: target})
		target.Role = Leader
		g.then(Fault{Kind: Crash, At: at + between(s, 1_500, 4_000), Length: between(s, 4_000, 8_000), Target: target, Lose: 100, Moment: Proposing})
	}
}

// interruptedCopy has a node copy a log: for a new replica, or because it was away until
// the others had given up what it lacks. Meanwhile its power fails, or it is cut off
// until the leader gives it up, or another leader is elected while the copy is slow.
func (g *generator) interruptedCopy(s *prng.Stream, at Milliseconds) {
	target := g.partition(s)
	if s.Chance(1, 2) {
		g.stranger()
		at = max(at, 12_000)
		g.then(Fault{Kind: Move, At: at + 50, Target: target})
	} else {
		away := target
		away.Role = Follower
		begin, length := between(s, 1_000, 6_000), between(s, 20_000, 30_000)
		g.then(Fault{Kind: Crash, At: begin, Length: length, Target: away, Lose: 100})
		at = begin + length - 100
	}
	switch s.Below(3) {
	case 0:
		f := Fault{Kind: Kill, At: at, Target: target, Moment: Copying, Delay: s.Below(15_000) / s.Between(1, 20)}
		if s.Chance(1, 2) {
			f.Kind = Crash
			crash(s, &f)
		}
		f.Length = between(s, 300, 2_000)
		g.then(f)
	case 1:
		g.then(Fault{Kind: Isolate, At: at, Length: between(s, 4_000, 6_000), Target: target, Moment: Copying, Delay: s.Below(5_000)})
	default:
		slow := netsim.Profile{Latency: netsim.Time(s.Between(40, 120)) * millisecond}
		g.then(Fault{Kind: Weather, At: at, Length: between(s, 3_000, 5_000), Target: target, Moment: Copying, Worse: slow})
		g.then(Fault{Kind: Bridge, At: at, Length: between(s, 2_000, 5_000), Target: target, Moment: Copying, Delay: s.Below(200_000)})
	}
}

// rottenAbsence keeps a node down for long, and damages its segments meanwhile.
func (g *generator) rottenAbsence(s *prng.Stream, _ Milliseconds) {
	node := Target{Node: int(g.rotten()) + 1}
	begin, length := between(s, 1_000, 8_000), between(s, 25_000, 40_000)
	g.then(Fault{Kind: Crash, At: begin, Length: length, Target: node, Lose: 100})
	g.then(Fault{Kind: BitFlip, At: begin + length - 500, Target: node, Strength: s.Between(5, 25)})
}

// stranger sees to it that there is a node to move to.
func (g *generator) stranger() {
	if !g.has(Join) {
		g.then(Fault{Kind: Join, At: quiet})
	}
}
