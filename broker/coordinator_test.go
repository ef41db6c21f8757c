package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	groups "github.com/reprise-mq/reprise/broker/group"
	"github.com/reprise-mq/reprise/sim/disk"
)

// grouped is a cluster of three with topic "t" of some partitions, and the groups' topic,
// which comes of asking for it.
func grouped(t *testing.T, seed uint64, partitions int32) *cluster {
	c := newCluster(t, seed, three...)
	c.waitFor("three voters", func() bool {
		voters := slices.DeleteFunc(c.metadata(three...).GetNodes(), func(n *api.NodeInfo) bool { return !n.GetMetaVoter() })
		return len(voters) == 3
	})
	c.ok(func() *api.Request { return createTopic("t", partitions) }, three...)
	r := c.ok(func() *api.Request {
		return &api.Request{Body: &api.Request_Metadata{Metadata: &api.MetadataRequest{Topics: []*api.TopicRef{topic(api.GroupsTopic)}}}}
	}, three...)
	made := r.GetMetadata().GetTopics()[0]
	if len(made.GetPartitions()) != 8 || len(made.GetPartitions()[0].GetReplicas()) != 3 {
		t.Fatalf("the groups' topic is %v", made)
	}
	return c
}

func (c *cluster) id(name string) uint64 {
	for _, t := range c.metadata(three...).GetTopics() {
		if t.GetName() == name {
			return t.GetId()
		}
	}
	c.t.Fatalf("no topic %s", name)
	return 0
}

func join(token string, change func(*api.JoinGroupRequest)) *api.Request {
	q := &api.JoinGroupRequest{
		Shard: topic(api.GroupsTopic), Group: "g", Token: []byte(token), SessionMs: 5000, RebalanceMs: 20_000, Topics: []string{"t"},
	}
	change(q)
	return &api.Request{Body: &api.Request_JoinGroup{JoinGroup: q}}
}

func joining(token string) func() *api.Request {
	return func() *api.Request { return join(token, func(*api.JoinGroupRequest) {}) }
}

func beating(m *api.MembershipResponse, given ...*api.GroupPartition) func() *api.Request {
	return func() *api.Request {
		return &api.Request{Body: &api.Request_Beat{Beat: &api.BeatRequest{
			Shard: topic(api.GroupsTopic), Group: "g", Member: m.GetMember(), Epoch: m.GetEpoch(), Given: given,
		}}}
	}
}

func committing(m *api.MembershipResponse, offset int64, at ...*api.GroupPartition) func() *api.Request {
	return func() *api.Request {
		q := &api.CommitOffsetsRequest{Shard: topic(api.GroupsTopic), Group: "g", Member: m.GetMember(), Epoch: m.GetEpoch()}
		for _, p := range at {
			q.Offsets = append(q.Offsets, &api.GroupOffset{Partition: p, Offset: offset, Metadata: "m"})
		}
		return &api.Request{Body: &api.Request_CommitOffsets{CommitOffsets: q}}
	}
}

func describing() *api.Request {
	return &api.Request{Body: &api.Request_DescribeGroup{DescribeGroup: &api.DescribeGroupRequest{Shard: topic(api.GroupsTopic), Group: "g"}}}
}

// committed is what the group has committed in partitions.
func (c *cluster) committed(at ...*api.GroupPartition) []int64 {
	r := c.ok(func() *api.Request {
		return &api.Request{Body: &api.Request_FetchOffsets{FetchOffsets: &api.FetchOffsetsRequest{
			Shard: topic(api.GroupsTopic), Group: "g", Partitions: at,
		}}}
	}, three...)
	var offsets []int64
	for _, o := range r.GetFetchOffsets().GetOffsets() {
		offsets = append(offsets, o.GetOffset())
	}
	return offsets
}

// members are a group's, as clients would keep them.
type members []*api.MembershipResponse

// beat lets every member beat, and give up what it is told to; nobody owns what another
// does.
func (c *cluster) beat(ms members) {
	c.t.Helper()
	for i, m := range ms {
		ms[i] = c.ok(beating(m, m.GetGives()...), three...).GetMembership()
	}
	owners := make(map[string]uint64)
	d := c.ok(describing, three...).GetDescribeGroup()
	for _, m := range d.GetMembers() {
		for _, p := range slices.Concat(m.GetKeeps(), m.GetGives()) {
			name := fmt.Sprintf("%d/%d", p.GetTopicId(), p.GetPartition())
			if owners[name] != 0 {
				c.t.Fatalf("%s is owned by %d and %d", name, owners[name], m.GetMember())
			}
			owners[name] = m.GetMember()
		}
	}
}

// balanced lets members beat until each may read so many partitions.
func (c *cluster) balanced(ms members, want ...int) {
	c.t.Helper()
	c.waitFor(fmt.Sprintf("members with %v partitions", want), func() bool {
		c.beat(ms)
		var have []int
		for _, m := range ms {
			have = append(have, len(m.GetKeeps()))
			if len(m.GetGives()) > 0 {
				return false
			}
		}
		return slices.Equal(have, want)
	})
}

// joined has members join, one by one.
func (c *cluster) joined(tokens ...string) members {
	var ms members
	for _, token := range tokens {
		ms = append(ms, c.ok(joining(token), three...).GetMembership())
	}
	return ms
}

func TestGroupIsBalanced(t *testing.T) {
	c := grouped(t, 41, 6)
	ms := c.joined("a", "b", "c")
	c.balanced(ms, 2, 2, 2)
	if again := c.ok(joining("b"), three...).GetMembership(); again.GetMember() != ms[1].GetMember() {
		t.Errorf("a join that is repeated made member %d of %d", again.GetMember(), ms[1].GetMember())
	}
	before := slices.Clone(ms)
	c.ok(func() *api.Request {
		return &api.Request{Body: &api.Request_LeaveGroup{LeaveGroup: &api.LeaveGroupRequest{Shard: topic(api.GroupsTopic), Group: "g", Member: ms[0].GetMember()}}}
	}, three...)
	ms = ms[1:]
	c.balanced(ms, 3, 3)
	for i, m := range ms {
		for _, p := range before[i+1].GetKeeps() {
			if !slices.ContainsFunc(m.GetKeeps(), func(q *api.GroupPartition) bool { return q.GetPartition() == p.GetPartition() }) {
				t.Errorf("member %d lost partition %d because another left", m.GetMember(), p.GetPartition())
			}
		}
	}
	d := c.ok(describing, three...).GetDescribeGroup()
	if len(d.GetMembers()) != 2 || !strings.HasPrefix(d.GetMembers()[0].GetClient(), "client") || d.GetMembers()[0].GetKeeps()[0].GetTopic() != "t" {
		t.Errorf("the group is described as %v", d)
	}
	c.expectFine()
}

// A member that is silent for its session is ended, its partitions go to the others, and
// what it commits then is refused. One that beats stays, and one that is slow to give up is
// told nothing more, and ended.
func TestSilentAndSlowMembersAreEnded(t *testing.T) {
	c := grouped(t, 42, 4)
	ms := c.joined("a", "b")
	c.balanced(ms, 2, 2)
	silent := ms[0]
	c.ok(committing(silent, 7, silent.GetKeeps()[0]), three...)
	ms = ms[1:]
	c.balanced(ms, 4)
	if r := c.settle(committing(silent, 9, silent.GetKeeps()[0]), three...); r.GetError().GetCode() != api.Code_UNKNOWN_MEMBER {
		t.Errorf("the commit of a member that was ended is answered %v", r)
	}
	if r := c.settle(beating(silent), three...); r.GetError().GetCode() != api.Code_UNKNOWN_MEMBER {
		t.Errorf("the beat of a member that was ended is answered %v", r)
	}
	if r := c.settle(committing(&api.MembershipResponse{}, 9, silent.GetKeeps()[0]), three...); r.GetError().GetCode() != api.Code_GROUP_NOT_EMPTY {
		t.Errorf("the commit of nobody is answered %v", r)
	}
	old := &api.MembershipResponse{Member: ms[0].GetMember(), Epoch: 1}
	if r := c.settle(committing(old, 9, silent.GetKeeps()[0]), three...); r.GetError().GetCode() != api.Code_MEMBER_FENCED {
		t.Errorf("a commit of an epoch when another was the owner is answered %v", r)
	}
	if got := c.committed(silent.GetKeeps()[0]); got[0] != 7 {
		t.Errorf("committed is %v, want 7", got)
	}
	// The second one comes, and the first gives nothing up.
	slow := ms[0]
	next := c.ok(func() *api.Request {
		return join("c", func(q *api.JoinGroupRequest) { q.RebalanceMs = 2000 })
	}, three...).GetMembership()
	slow = c.ok(func() *api.Request {
		return join("b", func(q *api.JoinGroupRequest) { q.RebalanceMs, q.Member = 2000, slow.GetMember() })
	}, three...).GetMembership()
	told := c.world.Agenda.Now()
	c.waitFor("end of a slow member", func() bool {
		if r := c.settle(beating(slow), three...); r.GetError() == nil {
			told = c.world.Agenda.Now()
		}
		next = c.ok(beating(next), three...).GetMembership()
		return len(next.GetKeeps()) == 4
	})
	if waited := c.world.Agenda.Now() - told; waited < 4900*env.Millisecond {
		t.Errorf("what the slow member had is another's %d ms after it heard that it may read it", waited/env.Millisecond)
	}
	c.expectFine()
}

// A coordinator's end, and the end of all power, take nothing away.
func TestCoordinatorsEndLosesNothing(t *testing.T) {
	c := grouped(t, 43, 6)
	var ms members
	for _, token := range []string{"a", "b", "c"} {
		patient := func() *api.Request { return join(token, func(q *api.JoinGroupRequest) { q.SessionMs = 60_000 }) }
		ms = append(ms, c.ok(patient, three...).GetMembership())
	}
	c.balanced(ms, 2, 2, 2)
	for _, m := range ms {
		c.ok(committing(m, int64(m.GetMember()), m.GetKeeps()...), three...)
	}
	before := c.committed()
	for _, name := range three {
		led := slices.ContainsFunc(c.nodes[name].Partitions(), func(v broker.PartitionView) bool { return v.Topic == api.GroupsTopic && v.Leads })
		c.hosts[name].Crash(disk.Crash{Lose: 100})
		c.run(3 * env.Second)
		if others := slices.DeleteFunc(slices.Clone(three), func(n env.Endpoint) bool { return n == name }); led {
			for i, m := range ms {
				ms[i] = c.ok(beating(m), others...).GetMembership()
			}
		}
		c.start(name, func(*broker.Config) {})
		c.balanced(ms, 2, 2, 2)
	}
	for _, name := range three {
		c.hosts[name].Crash(disk.Crash{Lose: 100})
	}
	for _, name := range three {
		c.start(name, func(*broker.Config) {})
	}
	c.balanced(ms, 2, 2, 2)
	if after := c.committed(); len(before) != 6 || !slices.Equal(after, before) {
		t.Errorf("committed is %v, and was %v", after, before)
	}
	c.expectFine()
}

// Topics that come, grow and go.
func TestGroupFollowsTopics(t *testing.T) {
	c := grouped(t, 44, 2)
	ms := members{c.ok(func() *api.Request {
		return join("a", func(q *api.JoinGroupRequest) { q.Topics = []string{"t", "later"} })
	}, three...).GetMembership()}
	c.balanced(ms, 2)
	c.ok(func() *api.Request { return createTopic("later", 3) }, three...)
	c.balanced(ms, 5)
	c.ok(func() *api.Request {
		return &api.Request{Body: &api.Request_AddPartitions{AddPartitions: &api.AddPartitionsRequest{Topic: topic("later"), Partitions: 4}}}
	}, three...)
	c.balanced(ms, 6)
	c.ok(committing(ms[0], 5, ms[0].GetKeeps()...), three...)
	c.ok(func() *api.Request {
		return &api.Request{Body: &api.Request_DeleteTopic{DeleteTopic: &api.DeleteTopicRequest{Topic: topic("t")}}}
	}, three...)
	c.balanced(ms, 4)
	if got := c.committed(); !slices.Equal(got, []int64{5, 5, 5, 5}) {
		t.Errorf("committed is %v after one of the topics has gone", got)
	}
	c.ok(func() *api.Request { return createTopic("t", 1) }, three...)
	c.balanced(ms, 5)
	again := &api.GroupPartition{TopicId: c.id("t")}
	if got := c.committed(again); !slices.Equal(got, []int64{-1}) {
		t.Errorf("committed is %v in a topic that was made again", got)
	}
	c.expectFine()
}

// A node that joins behind the log's start of a shard becomes a coordinator by snapshot.
func TestShardMovesToAJoiner(t *testing.T) {
	c := grouped(t, 45, 2)
	ms := c.joined("a")
	c.balanced(ms, 2)
	c.ok(committing(ms[0], 3, ms[0].GetKeeps()...), three...)
	c.start("n4:1", func(cfg *broker.Config) { cfg.Join = []env.Endpoint{"n2:1"} })
	c.waitFor("fourth node", func() bool { return len(c.metadata(three...).GetNodes()) == 4 })
	joined := c.nodeAt("n4:1", three...)
	four := append(slices.Clone(three), "n4:1")
	for shard := range int32(8) {
		c.ok(func() *api.Request {
			return &api.Request{Body: &api.Request_MoveReplica{MoveReplica: &api.MoveReplicaRequest{Topic: topic(api.GroupsTopic), Partition: shard, From: 1, To: joined}}}
		}, three...)
		c.waitFor("election of the joiner", func() bool {
			elected := c.settle(func() *api.Request {
				return &api.Request{Body: &api.Request_ElectLeader{ElectLeader: &api.ElectLeaderRequest{Topic: topic(api.GroupsTopic), Partition: shard, Node: joined}}}
			}, three...)
			return elected.GetError() == nil
		})
	}
	c.waitFor("leadership of the joiner", func() bool {
		leads := 0
		for _, v := range c.nodes["n4:1"].Partitions() {
			if v.Topic == api.GroupsTopic && v.Leads {
				leads++
			}
		}
		ms[0] = c.ok(beating(ms[0]), four...).GetMembership()
		return leads == 8
	})
	r := c.ok(describing, "n4:1").GetDescribeGroup()
	if len(r.GetMembers()) != 1 || len(r.GetMembers()[0].GetKeeps()) != 2 || len(r.GetOffsets()) != 2 || r.GetOffsets()[1].GetOffset() != 3 {
		t.Errorf("the joiner describes %v", r)
	}
	c.expectFine()
}

// Groups without members can be set, forgotten and deleted, and are listed by shard.
func TestGroupsAreAdministered(t *testing.T) {
	c := grouped(t, 46, 2)
	at := &api.GroupPartition{TopicId: c.id("t"), Partition: 1}
	reset := func(offset int64) func() *api.Request {
		return func() *api.Request {
			return &api.Request{Body: &api.Request_ResetOffsets{ResetOffsets: &api.ResetOffsetsRequest{
				Shard: topic(api.GroupsTopic), Group: "g", Offsets: []*api.GroupOffset{{Partition: at, Offset: offset}},
			}}}
		}
	}
	remove := func() *api.Request {
		return &api.Request{Body: &api.Request_DeleteGroup{DeleteGroup: &api.DeleteGroupRequest{Shard: topic(api.GroupsTopic), Group: "g"}}}
	}
	if r := c.settle(reset(1), three...); r.GetError().GetCode() != api.Code_UNKNOWN_GROUP {
		t.Errorf("a group that is not there is set: %v", r)
	}
	c.ok(committing(&api.MembershipResponse{}, 4, at), three...)
	if r := c.ok(reset(9), three...); r.GetResetOffsets() == nil || c.committed(at)[0] != 9 {
		t.Errorf("set to 9, answered %v, and is %v", r, c.committed(at))
	}
	listed := 0
	for shard := range int32(8) {
		listed += len(c.ok(func() *api.Request {
			return &api.Request{Body: &api.Request_ListGroups{ListGroups: &api.ListGroupsRequest{Shard: topic(api.GroupsTopic), Partition: shard}}}
		}, three...).GetListGroups().GetGroups())
	}
	if listed != 1 {
		t.Errorf("%d groups are listed", listed)
	}
	ms := c.joined("a")
	for _, q := range []func() *api.Request{reset(2), remove} {
		if r := c.settle(q, three...); r.GetError().GetCode() != api.Code_GROUP_NOT_EMPTY {
			t.Errorf("%v: %v", q(), r)
		}
	}
	c.ok(func() *api.Request {
		return &api.Request{Body: &api.Request_LeaveGroup{LeaveGroup: &api.LeaveGroupRequest{Shard: topic(api.GroupsTopic), Group: "g", Member: ms[0].GetMember()}}}
	}, three...)
	c.ok(reset(-1), three...)
	if got := c.committed(at)[0]; got != -1 {
		t.Errorf("forgotten, and is %d", got)
	}
	if r := c.ok(remove, three...); r.GetDeleteGroup() == nil {
		t.Errorf("deleted, answered %v", r)
	}
	if r := c.settle(describing, three...); r.GetError().GetCode() != api.Code_UNKNOWN_GROUP {
		t.Errorf("a group that was deleted is described: %v", r)
	}
	c.expectFine()
}

func TestBadRequestsOfGroups(t *testing.T) {
	c := grouped(t, 47, 2)
	id := c.id("t")
	commit := func(offset int64, metadata string, at *api.GroupPartition) *api.Request {
		return &api.Request{Body: &api.Request_CommitOffsets{CommitOffsets: &api.CommitOffsetsRequest{
			Shard: topic(api.GroupsTopic), Group: "g", Offsets: []*api.GroupOffset{{Partition: at, Offset: offset, Metadata: metadata}},
		}}}
	}
	many := &api.CommitOffsetsRequest{Shard: topic(api.GroupsTopic), Group: "g"}
	for range 300 {
		many.Offsets = append(many.Offsets, &api.GroupOffset{Partition: &api.GroupPartition{TopicId: id}, Metadata: strings.Repeat("m", 4096)})
	}
	asked := &api.FetchOffsetsRequest{Shard: topic(api.GroupsTopic), Group: "g", Partitions: make([]*api.GroupPartition, groups.MaxOffsets+1)}
	for i := range asked.Partitions {
		asked.Partitions[i] = &api.GroupPartition{TopicId: id}
	}
	with := func(change func(*api.JoinGroupRequest)) *api.Request { return join("x", change) }
	invalid := api.Code_INVALID_REQUEST
	for name, test := range map[string]struct {
		q    *api.Request
		want api.Code
	}{
		"no name":               {with(func(q *api.JoinGroupRequest) { q.Group = "" }), invalid},
		"a long name":           {with(func(q *api.JoinGroupRequest) { q.Group = strings.Repeat("g", 250) }), invalid},
		"another topic":         {with(func(q *api.JoinGroupRequest) { q.Shard = topic("t") }), invalid},
		"no topic":              {with(func(q *api.JoinGroupRequest) { q.Shard = nil }), api.Code_UNKNOWN_TOPIC_OR_PARTITION},
		"no session":            {with(func(q *api.JoinGroupRequest) { q.SessionMs = 0 }), invalid},
		"an absurd session":     {with(func(q *api.JoinGroupRequest) { q.SessionMs = 1 << 60 }), invalid},
		"a negative rebalance":  {with(func(q *api.JoinGroupRequest) { q.RebalanceMs = -1 }), invalid},
		"an unknown assignor":   {with(func(q *api.JoinGroupRequest) { q.Assignor = 3 }), invalid},
		"assignor 256":          {with(func(q *api.JoinGroupRequest) { q.Assignor = 256 }), invalid},
		"a nameless topic":      {with(func(q *api.JoinGroupRequest) { q.Topics = []string{""} }), invalid},
		"too many topics":       {with(func(q *api.JoinGroupRequest) { q.Topics = make([]string, 1001) }), invalid},
		"a long token":          {with(func(q *api.JoinGroupRequest) { q.Token = make([]byte, 65) }), invalid},
		"a stranger":            {with(func(q *api.JoinGroupRequest) { q.Member = 77 }), api.Code_UNKNOWN_MEMBER},
		"a stranger's beat":     {beating(&api.MembershipResponse{Member: 77})(), api.Code_UNKNOWN_MEMBER},
		"giving nothing known":  {beating(&api.MembershipResponse{Member: 77}, &api.GroupPartition{})(), invalid},
		"a negative offset":     {commit(-1, "", &api.GroupPartition{TopicId: id}), invalid},
		"long metadata":         {commit(1, strings.Repeat("m", 4097), &api.GroupPartition{TopicId: id}), invalid},
		"no partition":          {commit(1, "", nil), invalid},
		"an unknown topic":      {commit(1, "", &api.GroupPartition{TopicId: 99}), api.Code_UNKNOWN_TOPIC_OR_PARTITION},
		"an unknown partition":  {commit(1, "", &api.GroupPartition{TopicId: id, Partition: 2}), api.Code_UNKNOWN_TOPIC_OR_PARTITION},
		"the groups' own topic": {commit(1, "", &api.GroupPartition{TopicId: c.id(api.GroupsTopic)}), invalid},
		"no offsets":            {committing(&api.MembershipResponse{}, 1)(), invalid},
		"too much at once":      {&api.Request{Body: &api.Request_CommitOffsets{CommitOffsets: many}}, invalid},
		"too much to tell":      {&api.Request{Body: &api.Request_FetchOffsets{FetchOffsets: asked}}, invalid},
		"produce":               {produce(api.GroupsTopic, 0, nil), invalid},
		"fetch":                 {fetching(fetch(api.GroupsTopic, 0)), invalid},
		"delete records":        {trim(api.GroupsTopic, 0), invalid},
		"list offsets": {&api.Request{Body: &api.Request_ListOffsets{ListOffsets: &api.ListOffsetsRequest{
			Topic: topic(api.GroupsTopic)}}}, invalid},
		"producers": {producersOf(api.GroupsTopic, 0, 0), invalid},
		"delete": {&api.Request{Body: &api.Request_DeleteTopic{DeleteTopic: &api.DeleteTopicRequest{
			Topic: topic(api.GroupsTopic)}}}, invalid},
		"more shards": {&api.Request{Body: &api.Request_AddPartitions{AddPartitions: &api.AddPartitionsRequest{
			Topic: topic(api.GroupsTopic), Partitions: 9}}}, invalid},
		"alter": {&api.Request{Body: &api.Request_AlterTopic{AlterTopic: &api.AlterTopicRequest{
			Topic: topic(api.GroupsTopic), Set: []*api.TopicConfig{{Name: "retention.ms", Value: "1"}}}}}, invalid},
		"alter, perhaps": {&api.Request{Body: &api.Request_AlterTopic{AlterTopic: &api.AlterTopicRequest{
			Topic: topic(api.GroupsTopic), Unset: []string{"retention.ms"}, ValidateOnly: true}}}, invalid},
	} {
		e := c.settle(func() *api.Request { return test.q }, three...).GetError()
		if e.GetCode() != test.want || e.GetMessage() == "" {
			t.Errorf("%s: %v, want %v", name, e, test.want)
		}
	}
	c.expectFine()
}

// Somebody may make the groups' topic to their liking, but for what it cannot have.
func TestGroupsTopicMadeByHand(t *testing.T) {
	c := newCluster(t, 48, "n1:1")
	q := createTopic(api.GroupsTopic, 2)
	q.GetCreateTopic().Configs = []*api.TopicConfig{{Name: "retention.ms", Value: "1"}}
	if r := c.settle(func() *api.Request { return q }, "n1:1"); r.GetError().GetCode() != api.Code_INVALID_CONFIG {
		t.Errorf("groups with a retention: %v", r)
	}
	c.ok(func() *api.Request { return createTopic(api.GroupsTopic, 2) }, "n1:1")
	c.ok(func() *api.Request { return createTopic("t", 3) }, "n1:1")
	ms := members{c.ok(joining("a"), "n1:1").GetMembership()}
	c.waitFor("three partitions", func() bool {
		ms[0] = c.ok(beating(ms[0]), "n1:1").GetMembership()
		return len(ms[0].GetKeeps()) == 3
	})
	c.expectFine()
}

// Old commands go from a shard's log, and what is left is enough to begin again.
func TestShardsLogIsTrimmed(t *testing.T) {
	c := newCluster(t, 49, "n1:1")
	q := createTopic(api.GroupsTopic, 1)
	q.GetCreateTopic().SegmentBytes = 16 << 10
	c.ok(func() *api.Request { return q }, "n1:1")
	c.ok(func() *api.Request { return createTopic("t", 1) }, "n1:1")
	at := &api.GroupPartition{TopicId: c.metadata("n1:1").GetTopics()[1].GetId()}
	const commits = 5500
	for n := range int64(commits) {
		c.ok(committing(&api.MembershipResponse{}, n, at), "n1:1")
	}
	c.waitFor("end of the first segment", func() bool { return c.segments("n1:1", 1)["00000000000000000001.seg"] == nil })
	c.hosts["n1:1"].Crash(disk.Crash{Lose: 100})
	c.start("n1:1", func(*broker.Config) {})
	r := c.ok(func() *api.Request {
		return &api.Request{Body: &api.Request_FetchOffsets{FetchOffsets: &api.FetchOffsetsRequest{Shard: topic(api.GroupsTopic), Group: "g"}}}
	}, "n1:1")
	if got := r.GetFetchOffsets().GetOffsets(); len(got) != 1 || got[0].GetOffset() != commits-1 {
		t.Errorf("committed is %v", got)
	}
	status := c.ask("n1:1", &api.Request{Body: &api.Request_DescribeNode{DescribeNode: &api.DescribeNodeRequest{}}}).GetDescribeNode().GetGroups()[1]
	if status.GetLogEnd() < commits || status.GetLogStart() != status.GetLogEnd()-4096 {
		t.Errorf("the log has %d to %d", status.GetLogStart(), status.GetLogEnd())
	}
	c.expectFine()
}
