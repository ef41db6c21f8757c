package access

import (
	"fmt"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
)

// Need is an operation on a resource that a request takes.
type Need struct {
	Operation api.Acl_Operation
	Resource  api.Acl_Resource
	Name      string
	// Some: on any resource of the kind; Name is empty.
	Some bool
}

// Error refuses a request for the lack of n.
func (n Need) Error(principal string) *api.Error {
	code, what := api.Code_CLUSTER_AUTHORIZATION_FAILED, "the cluster"
	switch n.Resource {
	case api.Acl_TOPIC:
		code, what = api.Code_TOPIC_AUTHORIZATION_FAILED, fmt.Sprintf("topic %+q", n.Name)
	case api.Acl_GROUP:
		code, what = api.Code_GROUP_AUTHORIZATION_FAILED, fmt.Sprintf("group %+q", n.Name)
	}
	switch {
	case n.Some:
		what = "any topic"
	case n.Name == "":
		return api.Errorf(code, "a topic is named by its id alone, and what %s may do goes by names; give its name too", principal)
	}
	return api.Errorf(code, "%s is not allowed to %v on %s; who may alter the cluster can allow it with acl add", principal, n.Operation, what)
}

func cluster(o api.Acl_Operation) Need {
	return Need{Operation: o, Resource: api.Acl_CLUSTER, Name: ClusterName}
}

func topic(o api.Acl_Operation, name string) Need {
	return Need{Operation: o, Resource: api.Acl_TOPIC, Name: name}
}

func group(o api.Acl_Operation, name string) Need {
	return Need{Operation: o, Resource: api.Acl_GROUP, Name: name}
}

// Check gives the first need of a request that may says no to; ok is that there is none.
// What a request only lists is not needed: Filter leaves out of the answer what may not be
// described. A request that nobody knows needs everything.
func Check(q *api.Request, may func(Need) bool) (missing Need, ok bool) {
	switch body := q.GetBody().(type) {
	case *api.Request_Produce:
		return one(topic(api.Acl_WRITE, body.Produce.GetTopic().GetName()), may)
	case *api.Request_Fetch:
		return one(topic(api.Acl_READ, body.Fetch.GetTopic().GetName()), may)
	case *api.Request_DescribeProducers:
		return one(topic(api.Acl_READ, body.DescribeProducers.GetTopic().GetName()), may)
	case *api.Request_ListOffsets:
		return one(topic(api.Acl_DESCRIBE, body.ListOffsets.GetTopic().GetName()), may)
	case *api.Request_DeleteRecords:
		return one(topic(api.Acl_DELETE, body.DeleteRecords.GetTopic().GetName()), may)
	case *api.Request_InitProducer:
		return one(Need{Operation: api.Acl_WRITE, Resource: api.Acl_TOPIC, Some: true}, may)
	case *api.Request_Metadata:
		return metadata(body.Metadata, may)
	case *api.Request_CreateTopic:
		if may(cluster(api.Acl_CREATE)) {
			return Need{}, true
		}
		return one(topic(api.Acl_CREATE, body.CreateTopic.GetName()), may)
	case *api.Request_DeleteTopic:
		return one(topic(api.Acl_DELETE, body.DeleteTopic.GetTopic().GetName()), may)
	case *api.Request_AlterTopic:
		return one(topic(api.Acl_ALTER_CONFIGS, body.AlterTopic.GetTopic().GetName()), may)
	case *api.Request_AddPartitions:
		return one(topic(api.Acl_ALTER, body.AddPartitions.GetTopic().GetName()), may)
	case *api.Request_MoveReplica, *api.Request_ElectLeader, *api.Request_RemoveNode,
		*api.Request_PutUser, *api.Request_DeleteUser, *api.Request_CreateAcls, *api.Request_DeleteAcls:
		return one(cluster(api.Acl_ALTER), may)
	case *api.Request_DescribeNode, *api.Request_DescribeUsers, *api.Request_DescribeAcls:
		return one(cluster(api.Acl_DESCRIBE), may)
	}
	return checkGroup(q, may)
}

// checkGroup is Check for requests about consumer groups, and for all others.
func checkGroup(q *api.Request, may func(Need) bool) (missing Need, ok bool) {
	switch body := q.GetBody().(type) {
	case *api.Request_JoinGroup:
		r := body.JoinGroup
		if n := group(api.Acl_READ, r.GetGroup()); !may(n) {
			return n, false
		}
		for _, name := range r.GetTopics() {
			if n := topic(api.Acl_DESCRIBE, name); !may(n) {
				return n, false
			}
		}
		return Need{}, true
	case *api.Request_Beat:
		return one(group(api.Acl_READ, body.Beat.GetGroup()), may)
	case *api.Request_LeaveGroup:
		return one(group(api.Acl_READ, body.LeaveGroup.GetGroup()), may)
	case *api.Request_CommitOffsets:
		return offsets(body.CommitOffsets.GetGroup(), body.CommitOffsets.GetOffsets(), may)
	case *api.Request_ResetOffsets:
		return offsets(body.ResetOffsets.GetGroup(), body.ResetOffsets.GetOffsets(), may)
	case *api.Request_FetchOffsets:
		if n := group(api.Acl_DESCRIBE, body.FetchOffsets.GetGroup()); !may(n) {
			return n, false
		}
		for _, p := range body.FetchOffsets.GetPartitions() {
			if n := topic(api.Acl_DESCRIBE, p.GetTopic()); !may(n) {
				return n, false
			}
		}
		return Need{}, true
	case *api.Request_DeleteGroup:
		return one(group(api.Acl_DELETE, body.DeleteGroup.GetGroup()), may)
	case *api.Request_DescribeGroup:
		return one(group(api.Acl_DESCRIBE, body.DescribeGroup.GetGroup()), may)
	case *api.Request_ListGroups:
		return Need{}, true
	}
	// Join, UpdateNode, ReplicaChanged and CopySegment are what nodes ask each other.
	return one(cluster(api.Acl_CLUSTER_ACTION), may)
}

func one(n Need, may func(Need) bool) (Need, bool) { return n, may(n) }

// metadata: everybody may find the coordinators; and who may move replicas, where they all
// are, for a node without any is one that can go.
func metadata(q *api.MetadataRequest, may func(Need) bool) (Need, bool) {
	if may(cluster(api.Acl_ALTER)) {
		return Need{}, true
	}
	for _, ref := range q.GetTopics() {
		if n := topic(api.Acl_DESCRIBE, ref.GetName()); n.Name != api.GroupsTopic && !may(n) {
			return n, false
		}
	}
	return Need{}, true
}

// offsets are set by who may read both the group and the topics. That a topic's name
// belongs to its id, the coordinator sees to.
func offsets(name string, list []*api.GroupOffset, may func(Need) bool) (Need, bool) {
	if n := group(api.Acl_READ, name); !may(n) {
		return n, false
	}
	for _, o := range list {
		if n := topic(api.Acl_READ, o.GetPartition().GetTopic()); !may(n) {
			return n, false
		}
	}
	return Need{}, true
}

// Filter gives an answer without the topics and groups that may not be described. It leaves
// r as it is.
func Filter(r *api.Response, may func(Need) bool) *api.Response {
	switch body := r.GetBody().(type) {
	case *api.Response_Metadata:
		if may(cluster(api.Acl_ALTER)) {
			return r
		}
		m := body.Metadata
		return &api.Response{Id: r.Id, Error: r.Error, Body: &api.Response_Metadata{Metadata: &api.MetadataResponse{
			ClusterId: m.ClusterId, NodeId: m.NodeId, Nodes: m.Nodes, MetaLeader: m.MetaLeader,
			Topics: without(m.Topics, func(t *api.TopicInfo) bool {
				return t.Name != api.GroupsTopic && !may(topic(api.Acl_DESCRIBE, t.Name))
			}),
		}}}
	case *api.Response_ListGroups:
		if may(cluster(api.Acl_DESCRIBE)) {
			return r
		}
		return &api.Response{Id: r.Id, Error: r.Error, Body: &api.Response_ListGroups{ListGroups: &api.ListGroupsResponse{
			Groups: without(body.ListGroups.Groups, func(g *api.GroupSummary) bool {
				return !may(group(api.Acl_DESCRIBE, g.Group))
			}),
		}}}
	case *api.Response_FetchOffsets:
		return &api.Response{Id: r.Id, Error: r.Error, Body: &api.Response_FetchOffsets{FetchOffsets: &api.FetchOffsetsResponse{
			Offsets: without(body.FetchOffsets.Offsets, func(o *api.GroupOffset) bool {
				return !may(topic(api.Acl_DESCRIBE, o.GetPartition().GetTopic()))
			}),
		}}}
	}
	return r
}

// without copies a list but for some.
func without[T any](list []T, drop func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(list), drop)
}
