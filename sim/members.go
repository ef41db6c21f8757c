package sim

import (
	"fmt"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/plan"
	"github.com/reprise-mq/reprise/sim/prng"
	"github.com/reprise-mq/reprise/workloads/runner"
)

// groupName is the consumer group of a run.
const groupName = plan.GroupName

// readers is the consumer group of a run: what is seen of it from outside.
type readers struct {
	run *run
	// lag is what is not committed yet of the topic, as last asked, once everything is
	// produced; known: it was asked since.
	lag   api.Offset
	known bool
	// parting: all is committed, and the members leave.
	parting bool
	// stays are those of rogues.
	stays []*stay
	// latest is the member that has begun last to read a partition.
	latest map[int32]uint64
	// victim is the instance of a member whose place a rogue may take for good, "" if there
	// is none that the others can do without.
	victim string
	// asked are commits of members on their way, and taken those that were, the last ones.
	asked map[commitKey]*api.Request
	taken []*api.Request
}

// commitKey names a request of a client.
type commitKey struct {
	client env.Endpoint
	id     uint64
}

// maxTaken is how many commits are kept to be repeated.
const maxTaken = 64

// auditEvery is how often somebody asks how far the group has come.
const auditEvery = env.Second

// addMembers makes the members of the run's consumer group.
func (r *run) addMembers() {
	w := &r.plan.Workload
	if !w.Grouped() {
		return
	}
	r.readers = &readers{run: r, latest: make(map[int32]uint64), asked: make(map[commitKey]*api.Request)}
	static, stays := "", false
	for i := range w.Members {
		draw := func(purpose string, below int64) int64 {
			return prng.Scale(prng.Hash(r.plan.Seed, prng.HashString(purpose), uint64(i)), below)
		}
		options := core.ConsumerOptions{
			Group: groupName, Topics: []string{w.Topic},
			Session:    2*env.Second + env.Time(draw("session", 6000))*env.Millisecond,
			Rebalance:  2*env.Second + env.Time(draw("rebalance", 6000))*env.Millisecond,
			Assignor:   api.Assignor(prng.Scale(prng.Hash(r.plan.Seed, prng.HashString("assignor")), 3)),
			FetchBytes: 1 + int32(draw("fetch", 64<<10)), FetchWait: env.Time(draw("wait", 500)) * env.Millisecond,
			BufferedBytes: 1 + int(draw("buffer", 256<<10)),
		}
		options.PollInterval = 2*env.Second + env.Time(draw("interval", 4000))*env.Millisecond
		if draw("auto", 2) == 0 {
			options.AutoCommit = env.Time(50+draw("auto every", 1000)) * env.Millisecond
		}
		if draw("static", 3) == 0 {
			static = fmt.Sprintf("i%d", i)
			options.Instance = static
		} else {
			stays = true
		}
		c := &client{run: r, host: r.clientHost(fmt.Sprintf("m%d", i+1)), attempt: hastyAttempt}
		c.member = runner.NewMember(runner.MemberConfig{
			Log: r.log(), Options: options, Max: int(16 + draw("max", 64)),
			Work: env.Time(draw("work", 100)) * env.Millisecond, CommitEvery: int(1 + draw("commit", 5)),
			StallEvery: int(draw("stall", 2) * (40 + draw("stall every", 60))), Stall: options.PollInterval + env.Time(draw("stalled", 3000))*env.Millisecond,
			Until: histories.Time(r.plan.Safety) * histories.Time(env.Millisecond),
		})
		r.clients = append(r.clients, c)
	}
	if stays {
		r.readers.victim = static
	}
	r.world.Agenda.After(auditEvery, r.readers.audit)
}

// audit asks how far the group has come, again and again.
func (g *readers) audit() {
	if !g.parting || !g.run.answered() {
		g.ask()
		g.run.world.Agenda.After(auditEvery, g.audit)
	}
}

// ask asks how far the group has come. The answers are part of the history.
func (g *readers) ask() {
	r := g.run
	topic := r.topic()
	if topic == 0 {
		return
	}
	w := &r.plan.Workload
	settled := r.healed && r.produced()
	var processes []histories.Process
	var asked []*api.GroupPartition
	for p := range r.partitions() {
		process := r.recorder.NewProcess()
		processes = append(processes, process)
		asked = append(asked, &api.GroupPartition{TopicId: uint64(topic), Partition: int32(p)})
		r.recorder.Invoke(r.now(), process, histories.Call{
			Op: histories.FetchOffset, Group: groupName, Topic: w.Topic, Partition: api.Partition(p),
		})
	}
	r.admin.do(func(c *core.Client) {
		c.FetchOffsets(groupName, asked, adminPatience, func(result core.Result) { g.heard(processes, settled, result) })
	})
}

func (g *readers) heard(processes []histories.Process, settled bool, result core.Result) {
	r := g.run
	if result.Err != nil {
		for _, process := range processes {
			r.recorder.Fail(r.now(), process, result.Err.Code)
		}
		return
	}
	committed := make([]api.Offset, len(processes))
	for i := range committed {
		committed[i] = histories.NoOffset
	}
	for _, o := range result.Response.GetFetchOffsets().GetOffsets() {
		if p := int(o.GetPartition().GetPartition()); p < len(committed) {
			committed[p] = api.Offset(o.GetOffset())
		}
	}
	lag := api.Offset(0)
	for p, process := range processes {
		r.recorder.Ok(r.now(), process, histories.Answer{Offset: committed[p]})
		start, end := r.bounds(api.Partition(p))
		lag += end - max(committed[p], start) // what retention took nobody commits
	}
	if settled {
		g.lag, g.known = lag, true
	}
	if settled && lag == 0 && !g.parting {
		g.parting = true
		for _, c := range r.clients {
			if c.member != nil {
				c.host.Do(func(env.Process) { c.member.Stop(func() { c.done = true }) })
			}
		}
	}
}

// missing says what the group still has to do, "" if nothing.
func (g *readers) missing() string {
	switch {
	case !g.known:
		return "nobody has heard yet how far the consumer group has come"
	case !g.parting:
		return fmt.Sprintf("the consumer group has not committed %d offsets", g.lag)
	}
	return "the members of the consumer group have not all left"
}

// sent sees what members and their coordinator send each other.
func (g *readers) sent(from, to env.Endpoint, m *api.Message) {
	if q := m.GetRequest(); q.GetCommitOffsets().GetMember() != 0 && from != rawName {
		g.asked[commitKey{from, q.GetId()}] = q
	}
	answer := m.GetResponse()
	if answer.GetCommitOffsets() == nil {
		return
	}
	key := commitKey{to, answer.GetId()}
	if q := g.asked[key]; q != nil {
		delete(g.asked, key)
		g.taken = append(g.taken[max(0, len(g.taken)-maxTaken+1):], q)
	}
}

// topic is the id of the topic that all share, 0 if nobody knows it.
func (r *run) topic() api.TopicID {
	if m := r.oracle.Meta(); m != nil {
		if t := m.TopicByName(r.plan.Workload.Topic); t != nil {
			return t.ID
		}
	}
	return 0
}

// produced reports whether the clients that are no members are done.
func (r *run) produced() bool {
	return !slices.ContainsFunc(r.clients, func(c *client) bool { return c.member == nil && !c.done })
}

// bounds are where a partition of the topic that all share begins and ends, as the
// furthest nodes have it.
func (r *run) bounds(p api.Partition) (start, end api.Offset) {
	for _, n := range r.nodes {
		if !n.host.Up() || n.broker == nil || n.outside() {
			continue
		}
		for _, v := range n.broker.Partitions() {
			if v.Topic == r.plan.Workload.Topic && v.Partition == p {
				start, end = max(start, v.LogStart), max(end, v.LogEnd)
			}
		}
	}
	return start, end
}
