package broker

import (
	"github.com/reprise-mq/reprise/broker/api"
	groups "github.com/reprise-mq/reprise/broker/group"
)

// What is told of consumer groups, in the vocabulary.

func (s *coordinator) fetchOffsets(c caller, q *api.FetchOffsetsRequest) {
	if n := len(q.GetPartitions()); n > groups.MaxOffsets {
		s.group.node.refuse(c, api.Errorf(api.Code_INVALID_REQUEST,
			"the offsets of %d partitions are asked for, and a group has %d at most; name fewer at a time, or none for all", n, groups.MaxOffsets))
		return
	}
	asked, e := partitionsOf(q.GetPartitions())
	if e != nil {
		s.group.node.refuse(c, e)
		return
	}
	s.read(c, func(now *coordinator) *api.Response {
		offsets := now.state.Offsets(q.GetGroup())
		if len(asked) > 0 {
			offsets = nil
			for _, p := range asked {
				o, ok := now.state.Committed(q.GetGroup(), p)
				if !ok {
					o = groups.Offset{Partition: p, Offset: noneCommitted}
				}
				offsets = append(offsets, o)
			}
		}
		return &api.Response{Body: &api.Response_FetchOffsets{FetchOffsets: &api.FetchOffsetsResponse{Offsets: now.offsets(offsets)}}}
	})
}

// noneCommitted stands where a group has committed no offset.
const noneCommitted api.Offset = -1

func (s *coordinator) describe(c caller, q *api.DescribeGroupRequest) {
	s.read(c, func(now *coordinator) *api.Response {
		d, ok := now.state.Describe(q.GetGroup())
		if !ok {
			return &api.Response{Error: api.Errorf(api.Code_UNKNOWN_GROUP, "there is no group %q; see group list", q.GetGroup())}
		}
		out := &api.DescribeGroupResponse{
			Generation: uint64(d.Generation), Assignor: api.Assignor(d.Assignor), Offsets: now.offsets(d.Offsets),
		}
		for _, m := range d.Members {
			member := &api.GroupMember{
				Member: uint64(m.ID), Instance: m.Instance, Epoch: uint64(m.Epoch), Topics: m.Topics,
				Keeps: now.partitions(m.Keeps), Gives: now.partitions(m.Gives),
			}
			if v := now.watched[memberKey{q.GetGroup(), m.ID}]; v != nil {
				member.Client = string(v.client)
			}
			out.Members = append(out.Members, member)
		}
		return &api.Response{Body: &api.Response_DescribeGroup{DescribeGroup: out}}
	})
}

func (s *coordinator) list(c caller) {
	s.read(c, func(now *coordinator) *api.Response {
		out := &api.ListGroupsResponse{}
		for _, g := range now.state.Groups() {
			out.Groups = append(out.Groups, &api.GroupSummary{Group: g.Name, Members: int32(g.Members), Generation: uint64(g.Generation)})
		}
		return &api.Response{Body: &api.Response_ListGroups{ListGroups: out}}
	})
}

// membership is what a member is told of itself.
func (s *coordinator) membership(v groups.MemberView) *api.Response {
	return &api.Response{Body: &api.Response_Membership{Membership: &api.MembershipResponse{
		Member: uint64(v.ID), Generation: uint64(v.Generation), Epoch: uint64(v.Epoch),
		Keeps: s.partitions(v.Keeps), Gives: s.partitions(v.Gives),
	}}}
}

func (s *coordinator) partitions(list []groups.Partition) []*api.GroupPartition {
	var out []*api.GroupPartition
	for _, p := range list {
		named := &api.GroupPartition{TopicId: uint64(p.Topic), Partition: int32(p.Number)}
		if t := s.group.node.meta.state.TopicByID(p.Topic); t != nil {
			named.Topic = t.Name
		}
		out = append(out, named)
	}
	return out
}

func (s *coordinator) offsets(list []groups.Offset) []*api.GroupOffset {
	var out []*api.GroupOffset
	for _, o := range list {
		out = append(out, &api.GroupOffset{
			Partition: s.partitions([]groups.Partition{o.Partition})[0], Offset: int64(o.Offset), Metadata: o.Metadata,
		})
	}
	return out
}

// partitionsOf takes partitions from outside.
func partitionsOf(list []*api.GroupPartition) ([]groups.Partition, *api.Error) {
	var out []groups.Partition
	for _, p := range list {
		if p.GetTopicId() == 0 || p.GetPartition() < 0 {
			return nil, api.Errorf(api.Code_INVALID_REQUEST, "partition %d of the topic with the id %d: both count from 0, and a topic's id from 1",
				p.GetPartition(), p.GetTopicId())
		}
		out = append(out, groups.Partition{Topic: api.TopicID(p.GetTopicId()), Number: api.Partition(p.GetPartition())})
	}
	return out, nil
}
