package broker

import (
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/command"
	groups "github.com/reprise-mq/reprise/broker/group"
	"github.com/reprise-mq/reprise/broker/meta"
)

// Requests about consumer groups. What changes a group is a command of its shard's log;
// what only tells of one waits for a barrier.

// coordinate handles a request about a consumer group; false if it is about something else.
func (n *Node) coordinate(c caller, q *api.Request) bool {
	refuse := func(e *api.Error) { n.refuse(c, e) }
	shard := func(ref *api.TopicRef, group string, then func(*coordinator)) bool {
		n.withShard(ref, group, refuse, then)
		return true
	}
	switch body := q.GetBody().(type) {
	case *api.Request_JoinGroup:
		r := body.JoinGroup
		return shard(r.GetShard(), r.GetGroup(), func(s *coordinator) { s.join(c, r) })
	case *api.Request_Beat:
		r := body.Beat
		return shard(r.GetShard(), r.GetGroup(), func(s *coordinator) { s.beat(c, r) })
	case *api.Request_LeaveGroup:
		r := body.LeaveGroup
		return shard(r.GetShard(), r.GetGroup(), func(s *coordinator) { s.leave(c, r) })
	case *api.Request_CommitOffsets:
		r := body.CommitOffsets
		return shard(r.GetShard(), r.GetGroup(), func(s *coordinator) { s.commit(c, r) })
	case *api.Request_FetchOffsets:
		r := body.FetchOffsets
		return shard(r.GetShard(), r.GetGroup(), func(s *coordinator) { s.fetchOffsets(c, r) })
	case *api.Request_ResetOffsets:
		r := body.ResetOffsets
		return shard(r.GetShard(), r.GetGroup(), func(s *coordinator) { s.reset(c, r) })
	case *api.Request_DeleteGroup:
		r := body.DeleteGroup
		return shard(r.GetShard(), r.GetGroup(), func(s *coordinator) { s.remove(c, r) })
	case *api.Request_DescribeGroup:
		r := body.DescribeGroup
		return shard(r.GetShard(), r.GetGroup(), func(s *coordinator) { s.describe(c, r) })
	case *api.Request_ListGroups:
		n.withPartition(body.ListGroups.GetShard(), body.ListGroups.GetPartition(), refuse, func(p *meta.Partition) {
			n.withCoordinator(p, refuse, func(s *coordinator) { s.list(c) })
		})
		return true
	}
	return false
}

// withShard finds the shard of a group.
func (n *Node) withShard(ref *api.TopicRef, group string, refuse func(*api.Error), then func(*coordinator)) {
	if group == "" || len(group) > groups.MaxName {
		refuse(api.Errorf(api.Code_INVALID_REQUEST, "a group's name has 1 to %d bytes, not %d", groups.MaxName, len(group)))
		return
	}
	n.withPartition(ref, 0, refuse, func(p *meta.Partition) {
		all := p.Topic.Partitions
		n.withCoordinator(all[api.GroupShard(group, len(all))], refuse, then)
	})
}

func (n *Node) withCoordinator(p *meta.Partition, refuse func(*api.Error), then func(*coordinator)) {
	if p.Topic.Name != api.GroupsTopic {
		refuse(api.Errorf(api.Code_INVALID_REQUEST, "consumer groups are in topic %s, not in %s; name that as the shard", api.GroupsTopic, p.Topic.Name))
		return
	}
	n.withLeader(p, refuse, func(g *group) { then(g.coordinator) })
}

// lacksGroups reports whether a request asks for the groups' topic, which is not there.
func (n *Node) lacksGroups(q *api.MetadataRequest) bool {
	for _, ref := range q.GetTopics() {
		if ref.GetName() == api.GroupsTopic && ref.GetId() == 0 {
			return n.meta.state.TopicByName(api.GroupsTopic) == nil
		}
	}
	return false
}

// makeGroups has meta make the groups' topic, for whoever asks again after a pause.
func (n *Node) makeGroups(c caller) {
	if e := n.noRoom(n.meta.group); e != nil {
		n.refuse(c, e)
		return
	}
	n.tellMeta(&api.Request{Body: &api.Request_CreateTopic{CreateTopic: &api.CreateTopicRequest{
		Name: api.GroupsTopic, Partitions: int32(n.cfg.GroupShards), SegmentBytes: n.cfg.GroupSegmentBytes,
	}}})
	n.refuse(c, api.Errorf(api.Code_NOT_READY, "topic %s is being made; retry after a pause", api.GroupsTopic))
}

// asker is who asks for something of a group: as a member, and of an instance, where it
// says so.
type asker struct {
	caller
	group    string
	member   groups.MemberID
	instance string
}

// orFenced gives an answer to a member, which is told if it is none any more because
// another client has taken the place of its instance.
func (s *coordinator) orFenced(who asker, response *api.Response) *api.Response {
	if response.GetError().GetCode() == api.Code_UNKNOWN_MEMBER {
		if why := s.state.Fenced(who.group, who.member, who.instance); why != "" {
			response.Error = api.Errorf(api.Code_FENCED_INSTANCE, "%s", why)
		}
	}
	return response
}

// propose makes a command of a request. done gives the answer's body, once it is applied.
func (s *coordinator) propose(who asker, encode func(command.Tag, api.Milliseconds) []byte, done func(*api.Response)) {
	n := s.group.node
	s.group.propose(func(tag command.Tag, now api.Milliseconds) ([]byte, *api.Error) {
		data := encode(tag, now)
		if len(data) > n.cfg.MaxBatchBytes {
			return nil, api.Errorf(api.Code_INVALID_REQUEST, "the request makes a command of %d bytes, and %d is the most; ask for less at once", len(data), n.cfg.MaxBatchBytes)
		}
		return data, nil
	}, func(response *api.Response) {
		if response.GetError() == nil {
			done(response)
		}
		n.reply(who.caller, s.orFenced(who, response))
	})
}

func (s *coordinator) join(c caller, q *api.JoinGroupRequest) {
	j := groups.Join{
		Member: groups.MemberID(q.GetMember()), Token: string(q.GetToken()), Instance: q.GetInstance(), Former: groups.MemberID(q.GetFormer()),
		Session: api.Milliseconds(q.GetSessionMs()), Rebalance: api.Milliseconds(q.GetRebalanceMs()),
		Assignor: groups.Assignor(q.GetAssignor()), Topics: q.GetTopics(),
	}
	e := j.Check()
	if q.GetAssignor() < 0 || int32(q.GetAssignor()) != int32(j.Assignor) {
		e = api.Errorf(api.Code_INVALID_REQUEST, "there is no assignor %d", q.GetAssignor())
	}
	if e != nil {
		s.group.node.refuse(c, e)
		return
	}
	former := s.state.Joiner(q.GetGroup(), &j)
	if s.overdue(q.GetGroup(), former) {
		s.refuseOverdue(c, q.GetGroup(), former)
		return
	}
	s.hear(q.GetGroup(), j.Member, c.endpoint)
	s.propose(asker{c, q.GetGroup(), j.Member, j.Instance}, func(tag command.Tag, now api.Milliseconds) []byte {
		return groups.EncodeJoin(tag, now, q.GetGroup(), j)
	}, func(r *api.Response) {
		// By its token it may have come upon a member that is to hear nothing more.
		id := groups.MemberID(r.GetMembership().GetMember())
		if s.overdue(q.GetGroup(), id) {
			r.Body, r.Error = nil, unheard(q.GetGroup(), id)
			return
		}
		s.inherit(q.GetGroup(), former, id, groups.Epoch(r.GetMembership().GetEpoch()))
		s.hear(q.GetGroup(), id, c.endpoint)
	})
}

// beat answers with what a member may read. What it gives up is a command; that it lives
// is not, unless its end is under way.
func (s *coordinator) beat(c caller, q *api.BeatRequest) {
	id := groups.MemberID(q.GetMember())
	given, e := partitionsOf(q.GetGiven())
	if e != nil {
		s.group.node.refuse(c, e)
		return
	}
	if s.overdue(q.GetGroup(), id) {
		s.refuseOverdue(c, q.GetGroup(), id)
		return
	}
	v := s.hear(q.GetGroup(), id, c.endpoint)
	who := asker{c, q.GetGroup(), id, q.GetInstance()}
	if len(given) > 0 || v != nil && v.expiring {
		s.propose(who, func(tag command.Tag, now api.Milliseconds) []byte {
			return groups.EncodeSync(tag, now, q.GetGroup(), id, groups.Epoch(q.GetEpoch()), given)
		}, func(*api.Response) {})
		return
	}
	s.read(c, func(now *coordinator) *api.Response {
		view, ok := now.state.View(q.GetGroup(), id)
		if !ok {
			return now.orFenced(who, &api.Response{Error: api.Errorf(api.Code_UNKNOWN_MEMBER,
				"group %q has no member %d: it left, or was silent for too long; join again", q.GetGroup(), id)})
		}
		return now.membership(view)
	})
}

// overdue reports whether a member has taken too long to give up what it was told to. It
// hears no more that it may read, so that it will have stopped when its session ends.
func (s *coordinator) overdue(group string, id groups.MemberID) bool {
	v := s.watched[memberKey{group, id}]
	if v != nil && v.doomed {
		now, _ := s.state.View(group, id)
		v.doomed = now.Epoch == v.epoch && len(now.Gives) > 0
	}
	return v != nil && v.doomed
}

// refuseOverdue tells a member that it is overdue, if this node leads still: to one that
// does not know yet what a member gave up elsewhere, it seems so.
func (s *coordinator) refuseOverdue(c caller, group string, id groups.MemberID) {
	s.read(c, func(*coordinator) *api.Response { return &api.Response{Error: unheard(group, id)} })
}

func unheard(group string, id groups.MemberID) *api.Error {
	return api.Errorf(api.Code_UNKNOWN_MEMBER,
		"member %d of group %q took too long to give up what it was told to, and is being ended; join again as a new one, after a pause", id, group)
}

func (s *coordinator) leave(c caller, q *api.LeaveGroupRequest) {
	s.propose(asker{caller: c}, func(tag command.Tag, now api.Milliseconds) []byte {
		return groups.EncodeLeave(tag, now, q.GetGroup(), groups.MemberID(q.GetMember()))
	}, func(r *api.Response) {
		r.Body = &api.Response_LeaveGroup{LeaveGroup: &api.LeaveGroupResponse{}}
	})
}

func (s *coordinator) commit(c caller, q *api.CommitOffsetsRequest) {
	s.withOffsets(c, q.GetOffsets(), 0, func(offsets []groups.Offset) {
		commit := groups.Commit{
			Member: groups.MemberID(q.GetMember()), Epoch: groups.Epoch(q.GetEpoch()), Sequence: q.GetSequence(), Offsets: offsets,
		}
		s.propose(asker{c, q.GetGroup(), commit.Member, q.GetInstance()}, func(tag command.Tag, now api.Milliseconds) []byte {
			return groups.EncodeCommit(tag, now, q.GetGroup(), commit)
		}, func(r *api.Response) {
			r.Body = &api.Response_CommitOffsets{CommitOffsets: &api.CommitOffsetsResponse{}}
		})
	})
}

func (s *coordinator) reset(c caller, q *api.ResetOffsetsRequest) {
	s.withOffsets(c, q.GetOffsets(), groups.Forget, func(offsets []groups.Offset) {
		s.propose(asker{caller: c}, func(tag command.Tag, now api.Milliseconds) []byte {
			return groups.EncodeReset(tag, now, q.GetGroup(), offsets)
		}, func(r *api.Response) {
			r.Body = &api.Response_ResetOffsets{ResetOffsets: &api.ResetOffsetsResponse{}}
		})
	})
}

func (s *coordinator) remove(c caller, q *api.DeleteGroupRequest) {
	s.propose(asker{caller: c}, func(tag command.Tag, now api.Milliseconds) []byte {
		return groups.EncodeDelete(tag, now, q.GetGroup())
	}, func(r *api.Response) {
		r.Body = &api.Response_DeleteGroup{DeleteGroup: &api.DeleteGroupResponse{}}
	})
}

// withOffsets calls then with offsets from least on, of partitions that there are. That one
// is not there is said only by a state as new as the question.
func (s *coordinator) withOffsets(c caller, list []*api.GroupOffset, least api.Offset, then func([]groups.Offset)) {
	n := s.group.node
	var offsets []groups.Offset
	for _, o := range list {
		at, e := partitionsOf([]*api.GroupPartition{o.GetPartition()})
		if e == nil && (api.Offset(o.GetOffset()) < least || len(o.GetMetadata()) > groups.MaxMetadata) {
			e = api.Errorf(api.Code_INVALID_REQUEST, "offset %d with metadata of %d bytes: offsets begin at %d here, and metadata ends at %d bytes",
				o.GetOffset(), len(o.GetMetadata()), least, groups.MaxMetadata)
		}
		if e != nil {
			n.refuse(c, e)
			return
		}
		offsets = append(offsets, groups.Offset{Partition: at[0], Offset: api.Offset(o.GetOffset()), Metadata: o.GetMetadata()})
	}
	if len(offsets) == 0 {
		n.refuse(c, api.Errorf(api.Code_INVALID_REQUEST, "no offset is given; name a partition and its offset at least"))
		return
	}
	if n.missing(offsets, list) == nil {
		then(offsets)
		return
	}
	n.meta.group.replica.Read(func(err error) {
		e := n.missing(offsets, list)
		if err != nil {
			e = n.unread(api.MetaGroup, err)
		}
		switch {
		case e != nil:
			n.refuse(c, e)
		case s.group.coordinator != s || !s.group.replica.Leads():
			n.refuse(c, n.notLeader(s.group.id))
		default:
			then(offsets)
		}
	})
}

// missing says which partition is not there, of those that are to have an offset. What a
// client may do goes by names, so a name that is given has to be that of the id.
func (n *Node) missing(offsets []groups.Offset, list []*api.GroupOffset) *api.Error {
	for i, o := range offsets {
		name := list[i].GetPartition().GetTopic()
		t := n.meta.state.TopicByID(o.Partition.Topic)
		switch there := t != nil && int(o.Partition.Number) < len(t.Partitions); {
		case !there && o.Offset != groups.Forget:
			return api.Errorf(api.Code_UNKNOWN_TOPIC_OR_PARTITION, "there is no partition %d of a topic with the id %d, or no longer; see topic list",
				o.Partition.Number, o.Partition.Topic)
		case there && name != "" && name != t.Name:
			return api.Errorf(api.Code_UNKNOWN_TOPIC_OR_PARTITION, "the topic with the id %d is not %+q; see topic list", t.ID, name)
		case there && t.Name == api.GroupsTopic:
			return api.Errorf(api.Code_INVALID_REQUEST, "topic %s has no records, so nobody has an offset in it", t.Name)
		}
	}
	return nil
}
