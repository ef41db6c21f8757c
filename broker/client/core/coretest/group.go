package coretest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// Key names a partition of an incarnation of a topic.
type Key struct {
	Topic     api.TopicID
	Partition api.Partition
}

func keyOf(p *api.GroupPartition) Key {
	return Key{api.TopicID(p.GetTopicId()), api.Partition(p.GetPartition())}
}

// Group is a consumer group as all coordinators know it. It deals partitions out by turns,
// and keeps to the rules of the real one (broker/group) as far as members can tell.
type Group struct {
	world      *World
	Generation uint64
	Members    []*Member // by id
	// Owners of partitions, and since which of their epochs.
	Owners  map[Key]Owner
	Offsets map[Key]int64
	// due: a generation begins with the next request.
	due bool
}

// Owner of a partition.
type Owner struct{ Member, Since uint64 }

// Member of a group.
type Member struct {
	ID       uint64
	Instance string
	Epoch    uint64
	token    string
	topics   []string
	session  env.Time
	patience env.Time
	target   map[Key]bool
	beats    int
	sequence uint64
}

// Group gives a group, nil if there is none.
func (w *World) Group(name string) *Group { return w.groups[name] }

// groupOf gives the group that a request is about, with its shard; ok is false if it is
// about none.
func groupOf(request *api.Request) (ref *api.TopicRef, group string, ok bool) {
	type about interface {
		GetShard() *api.TopicRef
		GetGroup() string
	}
	var a about
	switch body := request.Body.(type) {
	case *api.Request_JoinGroup:
		a = body.JoinGroup
	case *api.Request_Beat:
		a = body.Beat
	case *api.Request_LeaveGroup:
		a = body.LeaveGroup
	case *api.Request_CommitOffsets:
		a = body.CommitOffsets
	case *api.Request_FetchOffsets:
		a = body.FetchOffsets
	case *api.Request_ResetOffsets:
		a = body.ResetOffsets
	case *api.Request_DeleteGroup:
		a = body.DeleteGroup
	case *api.Request_DescribeGroup:
		a = body.DescribeGroup
	default:
		return nil, "", false
	}
	return a.GetShard(), a.GetGroup(), true
}

// shardOf is the partition that a request about groups is for.
func (w *World) shardOf(request *api.Request) (*api.TopicRef, int32, bool) {
	if list := request.GetListGroups(); list != nil {
		return list.Shard, list.Partition, true
	}
	ref, group, ok := groupOf(request)
	if !ok || w.topics[api.GroupsTopic] == nil {
		return ref, 0, ok
	}
	return ref, int32(api.GroupShard(group, len(w.topics[api.GroupsTopic].Partitions))), true
}

// actGroup does what a request about groups asks.
func (w *World) actGroup(request *api.Request) *api.Response {
	_, name, _ := groupOf(request)
	g := w.groups[name]
	if g == nil && request.GetJoinGroup() == nil && request.GetListGroups() == nil {
		return w.withoutGroup(request)
	}
	if g != nil && g.due {
		g.Rebalance()
	}
	switch body := request.Body.(type) {
	case *api.Request_JoinGroup:
		return w.joinGroup(body.JoinGroup)
	case *api.Request_Beat:
		return g.beat(body.Beat)
	case *api.Request_LeaveGroup:
		if !g.remove(body.LeaveGroup.Member) {
			return fail(api.Code_UNKNOWN_MEMBER)
		}
		return &api.Response{Body: &api.Response_LeaveGroup{LeaveGroup: &api.LeaveGroupResponse{}}}
	case *api.Request_CommitOffsets:
		return g.commit(body.CommitOffsets)
	case *api.Request_FetchOffsets:
		return g.fetchOffsets(body.FetchOffsets.Partitions)
	case *api.Request_ResetOffsets:
		return g.reset(body.ResetOffsets)
	case *api.Request_DeleteGroup:
		if len(g.Members) > 0 {
			return fail(api.Code_GROUP_NOT_EMPTY)
		}
		delete(w.groups, name)
		return &api.Response{Body: &api.Response_DeleteGroup{DeleteGroup: &api.DeleteGroupResponse{}}}
	case *api.Request_DescribeGroup:
		return g.describe()
	}
	return w.listGroups(request.GetListGroups())
}

// withoutGroup answers a request about a group that is not there.
func (w *World) withoutGroup(request *api.Request) *api.Response {
	switch body := request.Body.(type) {
	case *api.Request_FetchOffsets:
		return (&Group{}).fetchOffsets(body.FetchOffsets.Partitions)
	case *api.Request_Beat, *api.Request_LeaveGroup, *api.Request_CommitOffsets:
		return fail(api.Code_UNKNOWN_MEMBER)
	}
	return fail(api.Code_UNKNOWN_GROUP)
}

func (w *World) joinGroup(q *api.JoinGroupRequest) *api.Response {
	g := w.groups[q.Group]
	if g == nil {
		g = &Group{world: w, Owners: map[Key]Owner{}, Offsets: map[Key]int64{}}
		w.groups[q.Group] = g
	}
	m := g.find(func(m *Member) bool {
		return m.ID == q.Member || q.Member == 0 && len(q.Token) > 0 && m.token == string(q.Token)
	})
	if m == nil && (q.Member != 0 || q.Former != 0 && g.absent(q.Former, q.Instance) == api.Code_FENCED_INSTANCE) {
		return fail(g.absent(q.Member+q.Former, q.Instance))
	}
	if m == nil {
		w.lastMember++
		m = &Member{ID: w.lastMember, Instance: q.Instance, Epoch: 1, token: string(q.Token)}
		if old := g.find(func(m *Member) bool { return q.Instance != "" && m.Instance == q.Instance }); old != nil {
			g.replace(old, m)
		}
		g.Members = append(g.Members, m)
	}
	m.session, m.patience = env.Time(q.SessionMs)*env.Millisecond, env.Time(q.RebalanceMs)*env.Millisecond
	changed := !slices.Equal(m.topics, q.Topics)
	m.topics = q.Topics
	g.alive(m)
	if changed {
		g.due = true // a generation begins after the join is answered
	}
	return g.membership(m)
}

// absent is what somebody hears who is no member.
func (g *Group) absent(id uint64, instance string) api.Code {
	if g.member(id) == nil && g.find(func(m *Member) bool { return instance != "" && m.Instance == instance }) != nil {
		return api.Code_FENCED_INSTANCE
	}
	return api.Code_UNKNOWN_MEMBER
}

func (g *Group) find(match func(*Member) bool) *Member {
	if at := slices.IndexFunc(g.Members, match); at >= 0 {
		return g.Members[at]
	}
	return nil
}

func (g *Group) member(id uint64) *Member {
	return g.find(func(m *Member) bool { return m.ID == id })
}

func (g *Group) replace(old, m *Member) {
	m.target, m.topics, m.Epoch = old.target, old.topics, old.Epoch+1
	for key, o := range g.Owners {
		if o.Member == old.ID {
			g.Owners[key] = Owner{m.ID, m.Epoch}
		}
	}
	g.Members = slices.DeleteFunc(g.Members, func(m *Member) bool { return m == old })
}

// alive has a member expired unless it is heard of again in time.
func (g *Group) alive(m *Member) {
	m.beats++
	beats := m.beats
	g.world.At(g.world.now+m.session, func() {
		if m.beats == beats {
			g.remove(m.ID)
		}
	})
}

// Expire ends a member, as if it had been silent.
func (g *Group) Expire(id uint64) { g.remove(id) }

func (g *Group) remove(id uint64) bool {
	m := g.member(id)
	if m == nil {
		return false
	}
	g.Members = slices.DeleteFunc(g.Members, func(other *Member) bool { return other == m })
	maps.DeleteFunc(g.Owners, func(_ Key, o Owner) bool { return o.Member == id })
	g.Rebalance()
	return true
}

// Rebalance begins a generation: partitions are dealt out anew.
func (g *Group) Rebalance() {
	g.due = false
	g.Generation++
	turn := int(g.Generation)
	before := map[uint64]map[Key]bool{}
	for _, m := range g.Members {
		before[m.ID] = m.target
		m.target = map[Key]bool{}
	}
	for _, name := range slices.Sorted(maps.Keys(g.world.topics)) {
		t := g.world.topics[name]
		for p := range t.Partitions {
			for range g.Members {
				m := g.Members[turn%len(g.Members)]
				turn++
				if slices.Contains(m.topics, name) {
					m.target[Key{t.ID, api.Partition(p)}] = true
					break
				}
			}
		}
	}
	for _, m := range g.Members {
		g.renew(m, before[m.ID])
	}
	g.grant()
	for _, m := range slices.Clone(g.Members) {
		for _, key := range g.owned(m.ID) {
			if !m.target[key] {
				g.hurry(m, key, g.Owners[key])
			}
		}
	}
}

// renew has a member own anew what it was to give up and is to keep now: a beat that gives
// it up may still be on its way, and must not count.
func (g *Group) renew(m *Member, before map[Key]bool) {
	for _, key := range g.owned(m.ID) {
		if m.target[key] && !before[key] {
			m.Epoch++
			g.Owners[key] = Owner{m.ID, m.Epoch}
		}
	}
}

// hurry expires a member that does not give a partition up in time.
func (g *Group) hurry(m *Member, key Key, owner Owner) {
	generation := g.Generation
	g.world.At(g.world.now+m.patience, func() {
		if g.Generation == generation && g.Owners[key] == owner && g.member(m.ID) != nil {
			g.remove(m.ID)
		}
	})
}

func (g *Group) grant() {
	for _, m := range g.Members {
		granted := false
		for _, key := range slices.SortedFunc(maps.Keys(m.target), compareKeys) {
			if _, taken := g.Owners[key]; !taken {
				if !granted {
					m.Epoch++
				}
				granted = true
				g.Owners[key] = Owner{m.ID, m.Epoch}
			}
		}
	}
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

func (g *Group) owned(id uint64) []Key {
	var list []Key
	for _, key := range slices.SortedFunc(maps.Keys(g.Owners), compareKeys) {
		if g.Owners[key].Member == id {
			list = append(list, key)
		}
	}
	return list
}

func (g *Group) beat(q *api.BeatRequest) *api.Response {
	m := g.member(q.Member)
	if m == nil {
		return fail(g.absent(q.Member, q.Instance))
	}
	g.alive(m)
	freed := false
	for _, p := range q.Given {
		key := keyOf(p)
		if o := g.Owners[key]; o.Member == m.ID && !m.target[key] && o.Since <= q.Epoch {
			delete(g.Owners, key)
			freed = true
		}
	}
	if freed {
		m.Epoch++
		g.grant()
	}
	return g.membership(m)
}

func (g *Group) membership(m *Member) *api.Response {
	out := &api.MembershipResponse{Member: m.ID, Generation: g.Generation, Epoch: m.Epoch}
	for _, key := range g.owned(m.ID) {
		if m.target[key] {
			out.Keeps = append(out.Keeps, g.name(key))
		} else {
			out.Gives = append(out.Gives, g.name(key))
		}
	}
	return &api.Response{Body: &api.Response_Membership{Membership: out}}
}

func (g *Group) name(key Key) *api.GroupPartition {
	p := &api.GroupPartition{TopicId: uint64(key.Topic), Partition: int32(key.Partition), Topic: fmt.Sprint("id ", key.Topic)}
	for _, name := range slices.Sorted(maps.Keys(g.world.topics)) {
		if g.world.topics[name].ID == key.Topic {
			p.Topic = name
		}
	}
	return p
}

func (g *Group) commit(q *api.CommitOffsetsRequest) *api.Response {
	m := g.member(q.Member)
	switch {
	case q.Member == 0 && len(g.Members) > 0:
		return fail(api.Code_GROUP_NOT_EMPTY)
	case q.Member != 0 && m == nil:
		return fail(g.absent(q.Member, q.Instance))
	case m != nil && q.Sequence < m.sequence:
		return fail(api.Code_STALE_COMMIT)
	}
	for _, o := range q.Offsets {
		if owner := g.Owners[keyOf(o.Partition)]; m != nil && (owner.Member != m.ID || owner.Since > q.Epoch) {
			return fail(api.Code_MEMBER_FENCED)
		}
	}
	if m != nil {
		m.sequence = q.Sequence
	}
	for _, o := range q.Offsets {
		g.Offsets[keyOf(o.Partition)] = o.Offset
	}
	return &api.Response{Body: &api.Response_CommitOffsets{CommitOffsets: &api.CommitOffsetsResponse{}}}
}

func (g *Group) fetchOffsets(asked []*api.GroupPartition) *api.Response {
	out := &api.FetchOffsetsResponse{}
	if len(asked) == 0 {
		for _, key := range slices.SortedFunc(maps.Keys(g.Offsets), compareKeys) {
			asked = append(asked, g.name(key))
		}
	}
	for _, p := range asked {
		offset, there := g.Offsets[keyOf(p)]
		if !there {
			offset = -1
		}
		out.Offsets = append(out.Offsets, &api.GroupOffset{Partition: p, Offset: offset})
	}
	return &api.Response{Body: &api.Response_FetchOffsets{FetchOffsets: out}}
}

func (g *Group) reset(q *api.ResetOffsetsRequest) *api.Response {
	if len(g.Members) > 0 {
		return fail(api.Code_GROUP_NOT_EMPTY)
	}
	for _, o := range q.Offsets {
		if g.Offsets[keyOf(o.Partition)] = o.Offset; o.Offset < 0 {
			delete(g.Offsets, keyOf(o.Partition))
		}
	}
	return &api.Response{Body: &api.Response_ResetOffsets{ResetOffsets: &api.ResetOffsetsResponse{}}}
}

func (g *Group) describe() *api.Response {
	out := &api.DescribeGroupResponse{Generation: g.Generation, Offsets: g.fetchOffsets(nil).GetFetchOffsets().Offsets}
	for _, m := range g.Members {
		told := g.membership(m).GetMembership()
		out.Members = append(out.Members, &api.GroupMember{
			Member: m.ID, Instance: m.Instance, Epoch: m.Epoch, Topics: m.topics, Keeps: told.Keeps, Gives: told.Gives,
		})
	}
	return &api.Response{Body: &api.Response_DescribeGroup{DescribeGroup: out}}
}

func (w *World) listGroups(q *api.ListGroupsRequest) *api.Response {
	out := &api.ListGroupsResponse{}
	shards := len(w.topics[api.GroupsTopic].Partitions)
	for _, name := range slices.Sorted(maps.Keys(w.groups)) {
		if api.GroupShard(name, shards) == api.Partition(q.Partition) {
			g := w.groups[name]
			out.Groups = append(out.Groups, &api.GroupSummary{Group: name, Members: int32(len(g.Members)), Generation: g.Generation})
		}
	}
	return &api.Response{Body: &api.Response_ListGroups{ListGroups: out}}
}
