package broker_test

import (
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// code is that of what is answered in the end.
func (c *cluster) code(q func() *api.Request) api.Code {
	c.t.Helper()
	return c.settle(q, three...).GetError().GetCode()
}

// Of two clients of one instance's name the first hears that it is done, whatever it asks,
// and does not get the place back.
func TestInstanceIsTakenOnce(t *testing.T) {
	c := grouped(t, 91, 2)
	named := func(token string, former uint64) func() *api.Request {
		return func() *api.Request {
			return join(token, func(q *api.JoinGroupRequest) { q.Instance, q.Former = "i", former })
		}
	}
	first := c.ok(named("a", 0), three...).GetMembership()
	c.waitFor("two partitions", func() bool {
		first = c.ok(beating(first), three...).GetMembership()
		return len(first.GetKeeps()) == 2
	})
	second := c.ok(named("b", 0), three...).GetMembership()
	if len(second.GetKeeps()) != 2 {
		t.Errorf("the second is told %v", second)
	}
	of := func(q func() *api.Request) func() *api.Request {
		return func() *api.Request {
			r := q()
			if b := r.GetBeat(); b != nil {
				b.Instance = "i"
			}
			if o := r.GetCommitOffsets(); o != nil {
				o.Instance = "i"
			}
			return r
		}
	}
	for what, q := range map[string]func() *api.Request{
		"a beat":         of(beating(first)),
		"a beat, giving": of(beating(first, first.GetKeeps()...)),
		"a commit":       of(committing(first, 1, first.GetKeeps()...)),
		"a join":         named("c", first.GetMember()),
		"a join as member": func() *api.Request {
			return join("a", func(q *api.JoinGroupRequest) { q.Instance, q.Member = "i", first.GetMember() })
		},
	} {
		if code := c.code(q); code != api.Code_FENCED_INSTANCE {
			t.Errorf("%s of the first is answered %v", what, code)
		}
	}
	if code := c.code(beating(first)); code != api.Code_UNKNOWN_MEMBER {
		t.Errorf("a beat that names no instance is answered %v", code)
	}
	// One that was itself the last of the name may come again, and so may a new process.
	third := c.ok(named("d", second.GetMember()), three...).GetMembership()
	if fourth := c.ok(named("e", 0), three...).GetMembership(); third.GetMember() == fourth.GetMember() || len(fourth.GetKeeps()) != 2 {
		t.Errorf("members %v and %v", third, fourth)
	}
	c.expectFine()
}

// A copy of a commit that comes after a later one is answered STALE_COMMIT, one of the last
// commit as that was, and neither changes anything; a reader that went back commits less.
func TestCommitsComeInOrder(t *testing.T) {
	c := grouped(t, 92, 1)
	m := c.joined("a")[0]
	c.waitFor("a partition", func() bool {
		m = c.ok(beating(m), three...).GetMembership()
		return len(m.GetKeeps()) == 1
	})
	at := m.GetKeeps()[0]
	numbered := func(sequence uint64, offset int64) func() *api.Request {
		return func() *api.Request {
			r := committing(m, offset, at)()
			r.GetCommitOffsets().Sequence = sequence
			return r
		}
	}
	for _, step := range []struct {
		sequence uint64
		offset   int64
		code     api.Code
		want     int64
	}{
		{1, 10, api.Code_OK, 10},
		{3, 30, api.Code_OK, 30},
		{1, 10, api.Code_STALE_COMMIT, 30},
		{2, 20, api.Code_STALE_COMMIT, 30},
		{3, 7, api.Code_OK, 30},
		{4, 5, api.Code_OK, 5},
		{0, 40, api.Code_OK, 40},
		{3, 30, api.Code_STALE_COMMIT, 40},
	} {
		if code := c.code(numbered(step.sequence, step.offset)); code != step.code {
			t.Errorf("commit %d of offset %d is answered %v, want %v", step.sequence, step.offset, code, step.code)
		}
		if got := c.committed(at)[0]; got != step.want {
			t.Errorf("after commit %d of offset %d, %d is committed, want %d", step.sequence, step.offset, got, step.want)
		}
	}
	c.expectFine()
}

// An answer that no link would carry is refused, and parts of it are not.
func TestAnswerThatIsTooLarge(t *testing.T) {
	c := grouped(t, 93, 40)
	for _, name := range three {
		c.hosts[name].Kill()
		c.start(name, func(cfg *broker.Config) { cfg.MaxBatchBytes = 4 << 10 })
	}
	var all []*api.GroupPartition
	for p := range int32(40) {
		all = append(all, &api.GroupPartition{TopicId: c.id("t"), Partition: p})
		c.ok(func() *api.Request {
			r := committing(&api.MembershipResponse{}, 7, all[p])()
			r.GetCommitOffsets().Offsets[0].Metadata = strings.Repeat("m", 3<<10)
			return r
		}, three...)
	}
	asking := func(at ...*api.GroupPartition) func() *api.Request {
		return func() *api.Request {
			return &api.Request{Body: &api.Request_FetchOffsets{FetchOffsets: &api.FetchOffsetsRequest{
				Shard: topic(api.GroupsTopic), Group: "g", Partitions: at,
			}}}
		}
	}
	for _, q := range []func() *api.Request{asking(), asking(all...), describing} {
		if r := c.settle(q, three...); r.GetError().GetCode() != api.Code_INVALID_REQUEST {
			t.Errorf("%v is answered %v", q(), r.GetError())
		}
	}
	if got := c.committed(all[:10]...); len(got) != 10 || got[9] != 7 {
		t.Errorf("committed %v", got)
	}
	c.expectFine()
}

// A beat that comes while its member's end is on its way into the log waits for that: an
// answer would promise what the end takes away.
func TestBeatBehindAnEndWaitsForIt(t *testing.T) {
	c := grouped(t, 94, 1)
	m := c.ok(func() *api.Request { return join("a", func(q *api.JoinGroupRequest) { q.SessionMs = 1000 }) }, three...).GetMembership()
	m = c.ok(beating(m), three...).GetMembership()
	var leader env.Endpoint
	for _, name := range three {
		for _, v := range c.nodes[name].Partitions() {
			if v.Topic == api.GroupsTopic && v.Partition == api.GroupShard("g", 8) && v.Leads {
				leader = name
			}
		}
	}
	for _, name := range three {
		if name != leader {
			c.hosts[name].Disk.Stall(c.world.Agenda.Now() + 4*env.Second)
		}
	}
	c.run(2 * env.Second)
	if r := c.ask(leader, beating(m)()); r.GetError().GetCode() != api.Code_UNKNOWN_MEMBER {
		t.Errorf("a beat behind the member's end is answered %v", r)
	}
	c.expectFine()
}
