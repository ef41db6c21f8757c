package broker

import (
	"cmp"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/command"
	"github.com/reprise-mq/reprise/broker/env"
	groups "github.com/reprise-mq/reprise/broker/group"
)

// coordinator is the state of one shard of the consumer groups, and what its leader knows
// beside it: when members were last heard, and what it has proposed because of that. None
// of it is in the state: a later leader begins to count when it is elected, which is later,
// never earlier.
//
// A member takes every answer to a join or a beat for a promise: until its session has
// passed since it asked, what it may read is nobody else's. Three things make it one. Such
// an answer is as new as the question (a command, or a barrier in the term in which it was
// asked). Sessions are counted from the question on, or from later. And while a member's
// end is on its way into the log, its beats go there too, behind it.
type coordinator struct {
	group   *group
	state   *groups.State
	watched map[memberKey]*vigil
	rounds  int
	// How often topics had changed when every group's were looked at; looked is false if none
	// was in this leadership. touched are the groups to look at again; at once if eager, for
	// somebody may wait for what a member gets.
	looked  bool
	changes uint64
	touched map[string]bool
	eager   bool
	// Groups whose topics are on their way into the log, and those for whose topics there was
	// no room, with the bytes that the state had then.
	telling map[string]bool
	refused map[string]int
}

type memberKey struct {
	group  string
	member groups.MemberID
}

// vigil is what a leader knows of a member. Times are the node's uptime.
type vigil struct {
	heard api.Milliseconds
	// client is from where.
	client env.Endpoint
	// The member has had to give something up since owes, and its epoch was this.
	owing bool
	owes  api.Milliseconds
	epoch groups.Epoch
	// doomed: it took too long, in that epoch. It is not heard any more, so that its session
	// ends.
	doomed bool
	// expiring: its end is on its way into the log.
	expiring bool
}

// watchEvery is how many times a shard is tended between two looks at sessions.
const watchEvery = 5

func newCoordinator(g *group, state *groups.State) *coordinator {
	c := &coordinator{group: g, state: state}
	c.takeOver()
	return c
}

// takeOver forgets what an earlier leadership knew.
func (c *coordinator) takeOver() {
	c.watched, c.looked = make(map[memberKey]*vigil), false
	c.touched, c.telling, c.refused = make(map[string]bool), make(map[string]bool), make(map[string]int)
}

func (c *coordinator) apply(data []byte) int32 {
	out := c.state.Apply(data)
	if c.group.leads && out.Topics {
		c.touched[out.Group] = true
		c.eager = c.eager || out.Due
	}
	if c.group.replica != nil {
		c.group.replica.DropBefore(c.state.LogStart())
	}
	c.group.answer(out.Tag, func() *api.Response { return c.outcome(out) })
	return out.Count
}

// outcome is what became of a command, for whoever asked. What is answered to those that
// tell nothing but that it happened, the asker adds.
func (c *coordinator) outcome(out groups.Outcome) *api.Response {
	switch {
	case out.Code != api.Code_OK:
		return &api.Response{Error: &api.Error{Code: out.Code, Message: out.Message}}
	case out.Member.ID != 0:
		return c.membership(out.Member)
	}
	return &api.Response{}
}

// settle looks after what a pump has changed.
func (c *coordinator) settle() {
	if c.eager && c.group.replica.Serves() {
		c.eager = false
		c.learn()
	}
}

// tend looks after the shard from tick to tick, on its leader.
func (c *coordinator) tend() {
	c.learn()
	if c.rounds++; c.rounds%watchEvery == 0 {
		c.watch()
		c.retry()
	}
}

// watch ends members that were silent for too long, and those that do not give up what
// they are told to.
func (c *coordinator) watch() {
	before, now := c.watched, c.group.node.uptime()
	c.watched = make(map[memberKey]*vigil)
	for _, g := range c.state.Groups() {
		for _, s := range c.state.Sessions(g.Name) {
			key := memberKey{g.Name, s.Member}
			v := before[key]
			if v == nil {
				v = &vigil{heard: now}
			}
			c.watched[key] = v
			v.look(s, now)
			if now-v.heard > s.Session && !v.expiring {
				v.expiring = true
				c.expire(key, s.Beats, func() { v.expiring = false })
			}
		}
	}
}

// look notes since when a member has to give something up; whatever it gives makes it
// another epoch. What it gave in time may have been on its way into the log when its time
// was over: then it is not doomed after all.
func (v *vigil) look(s groups.Session, now api.Milliseconds) {
	if !s.Owes || !v.owing || v.epoch != s.Epoch {
		v.owing, v.owes, v.epoch, v.doomed = s.Owes, now, s.Epoch, false
	}
	v.doomed = v.doomed || v.owing && now-v.owes > s.Rebalance
}

func (c *coordinator) expire(key memberKey, beats uint64, done func()) {
	c.group.propose(func(tag command.Tag, now api.Milliseconds) ([]byte, *api.Error) {
		return groups.EncodeExpire(tag, now, key.group, key.member, beats), nil
	}, func(*api.Response) { done() })
}

// hear notes that a member has asked for something, and gives what is known of it; nil if
// it is not known yet, or is no member.
func (c *coordinator) hear(group string, id groups.MemberID, from env.Endpoint) *vigil {
	if !c.state.Has(group, id) {
		return nil
	}
	key := memberKey{group, id}
	v := c.watched[key]
	if v == nil {
		v = &vigil{}
		c.watched[key] = v
	}
	if !v.doomed {
		v.heard, v.client = c.group.node.uptime(), from
	}
	return v
}

// inherit has a member that took another's place give up what that one had to, in the time
// that is left: one instance would keep others waiting for as long as it joined anew.
func (c *coordinator) inherit(group string, former, heir groups.MemberID, epoch groups.Epoch) {
	old := c.watched[memberKey{group, former}]
	if former != heir && old != nil && old.owing {
		c.watched[memberKey{group, heir}] = &vigil{owing: true, owes: old.owes, epoch: epoch}
	}
}

// learn tells groups of topics that have come, grown or gone.
func (c *coordinator) learn() {
	if changes := c.group.node.meta.state.TopicChanges(); !c.looked || c.changes != changes {
		c.looked, c.changes = true, changes
		for _, g := range c.state.Groups() {
			c.touched[g.Name] = true
		}
	}
	names := slices.Sorted(maps.Keys(c.touched))
	clear(c.touched)
	for _, name := range names {
		c.tell(name)
	}
}

// tell has a group know what meta says of its topics, if that is news, or a generation is
// due.
func (c *coordinator) tell(name string) {
	if c.telling[name] {
		c.touched[name] = true
		return
	}
	known, says, due := c.state.Known(name), c.catalogue(name), c.state.Due(name)
	if says.Version < known.Version {
		// An earlier leader knew more than this node does so far.
		c.touched[name] = true
		says = known
	}
	if !due && len(says.Gone) == 0 && slices.Equal(says.Topics, known.Topics) {
		return
	}
	c.telling[name] = true
	c.group.propose(func(tag command.Tag, now api.Milliseconds) ([]byte, *api.Error) {
		return groups.EncodeTopics(tag, now, name, says), nil
	}, func(r *api.Response) {
		delete(c.telling, name)
		if r.GetError().GetCode() == api.Code_GROUPS_FULL {
			c.refused[name] = c.state.Bytes()
			return
		}
		c.touched[name] = true
	})
}

// retry has groups looked at again for whose topics there was no room, where there is more
// by now.
func (c *coordinator) retry() {
	//detvet:allow maporder each is looked at by itself
	for name, bytes := range c.refused {
		if c.state.Bytes() < bytes {
			delete(c.refused, name)
			c.touched[name] = true
		}
	}
}

// catalogue is what meta says of a group's topics, as far as this node knows.
func (c *coordinator) catalogue(name string) groups.Catalogue {
	meta := c.group.node.meta
	says := groups.Catalogue{Version: meta.group.replica.Applied()}
	for _, wanted := range c.state.Wanted(name) {
		if t := meta.state.TopicByName(wanted); t != nil && wanted != api.GroupsTopic {
			says.Topics = append(says.Topics, groups.Topic{Name: wanted, ID: t.ID, Partitions: int32(len(t.Partitions))})
		}
	}
	slices.SortFunc(says.Topics, func(a, b groups.Topic) int { return cmp.Compare(a.ID, b.ID) })
	for _, id := range c.state.Used(name) {
		if id <= meta.state.LastTopic() && meta.state.TopicByID(id) == nil {
			says.Gone = append(says.Gone, id)
		}
	}
	return says
}

// read answers from the state once a quorum has confirmed, in the term in which it was
// asked, that this node leads. A later term will not do, nor a follower that was told how
// far to read: who leads then may have counted on without what was asked here.
func (c *coordinator) read(from caller, answer func(*coordinator) *api.Response) {
	g := c.group
	term := g.replica.Role().Term
	g.replica.Read(func(err error) {
		switch {
		case err != nil:
			g.node.refuse(from, g.node.unread(g.id, err))
		case !g.replica.Serves() || g.replica.Role().Term != term:
			g.node.refuse(from, g.node.notLeader(g.id))
		default:
			g.node.reply(from, g.node.fitting(answer(g.coordinator)))
		}
	})
}

// maxAnswerBatches is how many batches of the largest size an answer may be as large as: no
// link carries what is much larger.
const maxAnswerBatches = 16

// fitting is an answer, unless it is too large to be sent.
func (n *Node) fitting(r *api.Response) *api.Response {
	size, most := proto.Size(r), maxAnswerBatches*n.cfg.MaxBatchBytes
	if size <= most {
		return r
	}
	return &api.Response{Error: api.Errorf(api.Code_INVALID_REQUEST,
		"the answer has %d bytes, and %d is the most; name some of the partitions, or topics, at a time", size, most)}
}
