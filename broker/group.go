package broker

import (
	"cmp"
	"maps"
	"slices"

	"go.etcd.io/raft/v3"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/command"
	"github.com/reprise-mq/reprise/broker/partition"
	"github.com/reprise-mq/reprise/broker/replica"
	"github.com/reprise-mq/reprise/broker/segment"
)

// group is one raft group as its node sees it: the replica, and who waits for
// what it will apply.
type group struct {
	node *Node
	id   api.GroupID
	// nil while it is being opened or made.
	replica *replica.Replica
	// On which nodes its other replicas were last heard, for those that meta does not
	// know (yet), or not any more.
	routes []route
	// Its log is damaged, and is being restored before the replica can be opened.
	restoring bool
	// What the group agrees on is one of the two; in the meta group both are nil, which has
	// node.meta.
	partition   *partitionMachine
	coordinator *coordinator
	// Proposals of this life that have not been applied, by their tags: another life
	// may have used the same number. They are failed when the leadership in whose
	// term they were made ends.
	waiting map[command.Tag]func(*api.Response)
	polls   []*poll
	// Records were applied since polls were last looked at; and of how many bytes, with
	// their commands, in this life.
	grown    bool
	appended int64
	// This replica leads, as of the last change of its role.
	leads bool
	// The tick at which it was last elected.
	ledSince uint64
	// The replica that meta wants to lead, as last seen, and the tick from which
	// leadership may be handed to it; at once if hasty.
	preferred api.ReplicaID
	balanceAt uint64
	hasty     bool
	// Something of the partition's retention is on its way into the log.
	noting bool
	// Ticks at which this replica may call an election, while none leads.
	campaigns int
	// When the configuration was last found to be the one that meta wants.
	agreed agreement
	// The term in which meta was last confirmed to be as new as the group's configuration,
	// and whether that is being asked.
	informed api.Term
	inquires bool
	// The configuration whose commitment meta was last told of.
	reported api.Index
}

// keeps reports whether a log is the one that this node has of the group. The files of one
// that is not may go at any time: its topic was deleted, its replica is somewhere else by
// now, or a snapshot took its place. So a read of it that fails says nothing of the disk.
func (g *group) keeps(log *segment.Store) bool {
	return g.node.groups[g.id] == g && g.replica.Store() == log
}

// encoder makes a command with the tag and the time it is given.
type encoder func(command.Tag, api.Milliseconds) ([]byte, *api.Error)

// maxWaiting bounds the proposals of one group that wait to be applied.
const maxWaiting = 16384

// partitionMachine is a partition's state, and how its age goes on while this node
// leads.
//
// A leader counts on from the age that the log has when it takes over, an entry of its
// own term applied. It does not count the time before, though as a follower it may have
// seen it pass: the leader before it may not have, if it had just started, and stamped
// records with an age that was too low. They would be too old at once. So time that no
// leader counted is lost, and what is kept is kept longer for it, never shorter.
type partitionMachine struct {
	group *group
	state *partition.State
	// ahead is what the node's uptime has to be set forward by, in milliseconds, to show
	// the log's age, while it leads.
	ahead api.Milliseconds
}

func newPartitionMachine(g *group, state *partition.State) *partitionMachine {
	return &partitionMachine{group: g, state: state}
}

func (m *partitionMachine) serves() bool { return m.group.replica != nil && m.group.replica.Serves() }

// age is how long the log has lasted.
func (m *partitionMachine) age() api.Milliseconds {
	if !m.serves() {
		return m.state.Age()
	}
	return m.group.node.uptime() + m.ahead
}

// hear takes note of the state's age, unless this node counts it.
func (m *partitionMachine) hear() {
	if !m.serves() {
		m.ahead = m.state.Age() - m.group.node.uptime()
	}
}

func (m *partitionMachine) apply(data []byte) int32 {
	out := m.state.Apply(data)
	m.hear()
	if out.Count > 0 {
		m.group.grown = true
		m.group.appended += int64(len(data))
	}
	m.group.applied(out)
	return out.Count
}

func (m *partitionMachine) restore(data []byte) error {
	if err := m.state.Restore(data); err != nil {
		return err
	}
	m.hear()
	return nil
}

// applied answers whoever waits for the entry.
func (g *group) applied(out partition.Outcome) {
	if g.replica != nil {
		g.replica.DropBefore(out.LogStart)
	}
	g.answer(out.Tag, func() *api.Response { return partitionResponse(out) })
}

// answer finishes the proposal with a tag, if it was made in this life.
func (g *group) answer(tag command.Tag, response func() *api.Response) {
	if done, ok := g.waiting[tag]; ok {
		delete(g.waiting, tag)
		done(response())
	}
}

// propose appends a command to the group's log and calls done when it has been
// applied here, or can no longer be known to be. nil done: nobody waits.
func (g *group) propose(encode encoder, done func(*api.Response)) {
	n := g.node
	fail := func(e *api.Error) {
		if done != nil {
			done(&api.Response{Error: e})
		}
	}
	if !g.replica.Leads() {
		fail(n.notLeader(g.id))
		return
	}
	if len(g.waiting) >= maxWaiting || n.stall.frozen[g.id] {
		fail(api.Errorf(api.Code_OVERLOADED, "group %d has %d proposals under way; retry after a pause", g.id, len(g.waiting)))
		return
	}
	n.proposals++
	tag := command.Tag{Origin: n.nonce, Number: n.proposals}
	data, e := encode(tag, n.now())
	if e != nil {
		fail(e)
		return
	}
	switch err := g.replica.Propose(data); {
	case err == nil && done != nil:
		g.waiting[tag] = done
	case err != nil:
		// raft refused before it appended anything: its bound of uncommitted
		// bytes is reached, or leadership is being handed over.
		fail(api.Errorf(api.Code_OVERLOADED, "group %d takes no proposals now: %v; retry after a pause", g.id, err))
	}
}

// lost ends the leadership of a term: what was proposed in it may be applied by
// the next leader, or not.
func (g *group) lost() {
	waiting := g.waiting
	g.waiting = make(map[command.Tag]func(*api.Response))
	inOrder := func(a, b command.Tag) int { return cmp.Compare(a.Number, b.Number) }
	for _, tag := range slices.SortedFunc(maps.Keys(waiting), inOrder) {
		waiting[tag](&api.Response{Error: api.Errorf(api.Code_LEADERSHIP_LOST,
			"the leadership of group %d changed before the request was committed; it may still be", g.id)})
	}
	g.endPolls()
}

// Changed is replica.Host: a replica's role, term or leader is another.
func (n *Node) Changed(r *replica.Replica) {
	g := n.groups[r.Group()]
	if g == nil || g.replica != r {
		return
	}
	leads := r.Role().State == raft.StateLeader
	// A leadership that came and went in one burst was never told of, and somebody may have
	// proposed in it.
	if g.leads || !leads && len(g.waiting) > 0 {
		g.leads = false
		g.lost()
	}
	if leads {
		g.leads, g.ledSince = true, n.ticks
		g.balanceAt = n.ticks + uint64(n.cfg.BalanceTicks)
		if g.coordinator != nil {
			g.coordinator.takeOver()
		}
		n.announce(g)
	}
}
