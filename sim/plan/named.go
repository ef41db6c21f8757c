package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/reprise-mq/reprise/sim/prng"
	"github.com/reprise-mq/reprise/workloads"
)

// ErrScenario: there is no scenario of that name; what wraps it lists those there are.
var ErrScenario = errors.New("no such scenario")

// Scenario is a sequence of faults with a name, which a plan can consist of.
type Scenario struct {
	// Name of the scenario, and what happens in it, in a sentence.
	Name, Says string

	families Families
	play     func(*generator, *prng.Stream, Milliseconds)
}

// Staged is the scenario that a plan consists of: a run in which one of its kinds of
// faults never fired proves nothing.
type Staged struct {
	Name  string `json:"name"`
	Kinds []Kind `json:"kinds"`
}

// The times at which a scenario is played again within a run.
const (
	firstStage Milliseconds = 8_000
	nextStage  Milliseconds = 16_000
)

// Scenarios are all there are, by name.
func Scenarios() []Scenario {
	process, network := Families{Process: true}, Families{Network: true}
	both := Families{Process: true, Network: true}
	return []Scenario{
		{Name: "bridge", families: network, play: (*generator).halves,
			Says: "One node alone sees both halves of the others, which do not see each other."},
		{Name: "crash-loop", families: process, play: (*generator).loops,
			Says: "A leader loses power again soon after each start."},
		{Name: "deaf-sleeper", families: both, play: (*generator).deafSleeper,
			Says: "A leader sleeps in the middle of a read and wakes up cut off from the leader that there is by then."},
		{Name: "dirty-pages", families: process, play: (*generator).dirtyPages,
			Says: "A node or two are killed, and soon after they are back their power fails: what they found on their disks may never have been synced."},
		{Name: "double-failover", families: process, play: (*generator).doubleFailover,
			Says: "The next leader loses power before or soon after it is elected."},
		{Name: "full-leader", families: Families{Disk: true}, play: (*generator).fullLeader,
			Says: "There is no room on the disk of a leader, and enough on the others'."},
		{Name: "heir-behind", families: Families{Process: true, Network: true, Membership: true}, play: (*generator).heirBehind,
			Says: "A replica moves, and the partition's next leader has heard nothing of it from meta."},
		{Name: "interrupted-copy", families: Families{Process: true, Network: true, Membership: true}, play: (*generator).interruptedCopy,
			Says: "A new replica is disturbed while it copies its log: by a power failure, a kill, a cut, or another leader."},
		{Name: "isolated-leader", families: network, play: (*generator).loneLeader,
			Says: "A leader is cut off from its followers, but not from clients."},
		{Name: "leave", families: Families{Membership: true}, play: (*generator).leaves,
			Says: "A node joins, and one of the others gives its replicas away and leaves."},
		{Name: "long-absence", families: process, play: (*generator).longAbsence,
			Says: "A node is down while the others go on, perhaps beyond the log's start."},
		{Name: "lost-disk", families: Families{Disk: true, Membership: true}, play: (*generator).losesDisk,
			Says: "A node is lost with all that it has, and a new one takes its place."},
		{Name: "minority-behind", families: both, play: (*generator).minorityBehind,
			Says: "A follower is kept behind; then the leader goes, and the power of the other follower."},
		{Name: "move-during-cut", families: Families{Network: true, Membership: true}, play: (*generator).moveDuringCut,
			Says: "A replica moves to a new node while the partition's leader is cut off from the others."},
		{Name: "removed-returns", families: Families{Disk: true, Membership: true}, play: (*generator).returns,
			Says: "A node is lost and removed, and then started on the disk that it had."},
		{Name: "rogue-producer", families: Families{Process: true, Load: true}, play: (*generator).rogue,
			Says: "A producer breaks the rules of sequences and epochs while leaders lose power."},
		{Name: "rolling-restart", families: process, play: (*generator).rolling,
			Says: "All nodes are shut down and started again, one after the other."},
		{Name: "rotten-absence", families: Families{Process: true, Disk: true}, play: (*generator).rottenAbsence,
			Says: "A node is down for long, and when it comes back its segments are damaged, some of which nobody else has any more."},
		{Name: "stale-source", families: Families{Disk: true, Membership: true}, play: (*generator).staleSource,
			Says: "A node gets segments for damaged ones, or for a new replica, from others whose reads miss writes."},
		{Name: "sync-error-in-transfer", families: Families{Process: true, Disk: true, Membership: true}, play: (*generator).syncErrorInTransfer,
			Says: "Syncs of a leader and a follower fail while leadership is handed over, and soon after the power of all fails."},
		{Name: "voter-in-the-dark", families: both, play: (*generator).voterInTheDark,
			Says: "A voter dies with its vote given, the winner falls asleep, and the leader before, cut off so far, asks the voter too."},
	}
}

// GenerateScenario makes the plan of a seed that consists of a scenario alone.
func GenerateScenario(name string, seed uint64) (*Plan, error) {
	all := Scenarios()
	at := slices.IndexFunc(all, func(s Scenario) bool { return s.Name == name })
	if at < 0 {
		var names []string
		for _, s := range all {
			names = append(names, s.Name)
		}
		return nil, fmt.Errorf("%w: %q; there are %s", ErrScenario, name, strings.Join(names, ", "))
	}
	g := newGenerator(seed)
	g.plan.Families = all[at].families
	g.config()
	s := g.seed.Split("scenario " + name)
	for when := firstStage; when+nextStage <= g.plan.Safety; when += nextStage {
		all[at].play(g, s, when+between(s, 0, 2_000))
	}
	g.plan.Scenario = &Staged{Name: name, Kinds: g.kinds()}
	g.finish(workloads.Generate(seed, g.plan.Workload))
	return g.plan, nil
}

// kinds are those of the faults so far, in the order of Kinds.
func (g *generator) kinds() []Kind {
	return slices.DeleteFunc(slices.Clone(Kinds), func(k Kind) bool {
		return !slices.ContainsFunc(g.plan.Faults, func(f Fault) bool { return f.Kind == k })
	})
}

// leads aims at the leader of a partition.
func (g *generator) leads(s *prng.Stream) Target {
	t := g.partition(s)
	t.Role = Leader
	return t
}

func (g *generator) halves(s *prng.Stream, at Milliseconds) {
	g.then(Fault{Kind: Bridge, At: at, Length: between(s, 3_000, 8_000), Target: g.target(s), OneWay: s.Chance(1, 3)})
}

func (g *generator) loops(s *prng.Stream, at Milliseconds) {
	f := Fault{Kind: CrashLoop, At: at, Target: g.leads(s), Strength: s.Between(2, 4), Moment: Proposing}
	crash(s, &f)
	f.Length = between(s, 1_500, 6_000)
	g.then(f)
}

func (g *generator) loneLeader(s *prng.Stream, at Milliseconds) {
	g.then(Fault{Kind: Isolate, At: at, Length: between(s, 2_000, 7_000), Target: g.leads(s)})
}

func (g *generator) rolling(s *prng.Stream, at Milliseconds) {
	g.then(Fault{Kind: RollingRestart, At: at, Length: between(s, 6_000, 12_000)})
}

func (g *generator) moveDuringCut(s *prng.Stream, at Milliseconds) {
	g.stranger()
	leader := g.leads(s)
	g.then(Fault{Kind: Isolate, At: at, Length: between(s, 2_000, 6_000), Target: leader})
	leader.Role = ""
	g.then(Fault{Kind: Move, At: at + between(s, 0, 800), Target: leader})
}

// leaves plays once: a cluster has one node to spare.
func (g *generator) leaves(s *prng.Stream, at Milliseconds) {
	g.stranger()
	if !g.has(Leave) {
		g.then(Fault{Kind: Leave, At: at, Target: Target{Node: int(s.Between(1, int64(g.plan.Nodes)))}})
	}
}

// losesDisk plays once: a majority must be left.
func (g *generator) losesDisk(s *prng.Stream, at Milliseconds) {
	if !g.has(LostDisk) {
		g.then(Fault{Kind: LostDisk, At: at, Length: between(s, 0, 8_000), Target: g.leads(s)})
	}
}

// returns plays once too.
func (g *generator) returns(s *prng.Stream, at Milliseconds) {
	if !g.has(OldImage) {
		g.losesDisk(s, at)
		g.then(Fault{Kind: OldImage, At: 50_000})
	}
}

func (g *generator) rogue(s *prng.Stream, at Milliseconds) {
	target := g.partition(s)
	g.then(Fault{Kind: RogueProducer, At: at, Length: 12_000, Target: target, Strength: s.Between(40, 80)})
	for range s.Between(1, 3) {
		f := Fault{Kind: Crash, At: at + between(s, 1_000, 10_000), Target: target}
		crash(s, &f)
		f.Target.Role, f.Length = Leader, between(s, 500, 3_000)
		g.then(f)
	}
}

func (g *generator) has(kind Kind) bool {
	return slices.ContainsFunc(g.plan.Faults, func(f Fault) bool { return f.Kind == kind })
}
