package core

import (
	"cmp"
	"slices"
	"unicode/utf8"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// maxGroupName bounds the names of groups and instances, in bytes.
const maxGroupName = 249

// JoinGroup makes a member of a group, or with a member's id says what it wants by now.
// The token names the attempt: a join that is repeated with it makes no second member.
// The answer is in Response.
func (c *Client) JoinGroup(request *api.JoinGroupRequest, timeout env.Time, done func(Result)) {
	request.Shard = &api.TopicRef{Name: api.GroupsTopic}
	c.startGroup(request.Group, append(slices.Clone(request.Topics), request.Instance), &operation{
		request: &api.Request{Body: &api.Request_JoinGroup{JoinGroup: request}},
		effect:  repeatable, ref: request.Shard, done: done,
	}, timeout)
}

// Beat says that a member lives, and what it has given up. It counts as harmless: what
// was given up stays so, however often it is said, and an answer of a member's end has to
// come through as what it is. The answer is in Response.
func (c *Client) Beat(request *api.BeatRequest, timeout env.Time, done func(Result)) {
	request.Shard = &api.TopicRef{Name: api.GroupsTopic}
	c.startGroup(request.Group, partitionNames(request.Given), &operation{
		request: &api.Request{Body: &api.Request_Beat{Beat: request}},
		effect:  harmless, ref: request.Shard, done: done,
	}, timeout)
}

// LeaveGroup ends a member; what it owned is free at once.
func (c *Client) LeaveGroup(group string, member uint64, timeout env.Time, done func(Result)) {
	request := &api.LeaveGroupRequest{Shard: &api.TopicRef{Name: api.GroupsTopic}, Group: group, Member: member}
	c.startGroup(group, nil, &operation{
		request: &api.Request{Body: &api.Request_LeaveGroup{LeaveGroup: request}},
		effect:  repeatable, ref: request.Shard, done: done,
	}, timeout)
}

// CommitOffsets commits all the offsets, or none. It is repeatable as long as the caller
// has one commit of the same partitions under way at a time: a later one could be undone
// by the repetition of an earlier.
func (c *Client) CommitOffsets(request *api.CommitOffsetsRequest, timeout env.Time, done func(Result)) {
	request.Shard = &api.TopicRef{Name: api.GroupsTopic}
	c.startGroup(request.Group, offsetTexts(request.Offsets), &operation{
		request: &api.Request{Body: &api.Request_CommitOffsets{CommitOffsets: request}},
		effect:  repeatable, ref: request.Shard, done: done,
	}, timeout)
}

// FetchOffsets asks how far a group has come: in some partitions, or with none given
// wherever it has committed. The answer is in Response.
func (c *Client) FetchOffsets(group string, partitions []*api.GroupPartition, timeout env.Time, done func(Result)) {
	request := &api.FetchOffsetsRequest{Shard: &api.TopicRef{Name: api.GroupsTopic}, Group: group, Partitions: partitions}
	c.startGroup(group, partitionNames(partitions), &operation{
		request: &api.Request{Body: &api.Request_FetchOffsets{FetchOffsets: request}},
		effect:  harmless, ref: request.Shard, done: done,
	}, timeout)
}

// ResetOffsets sets offsets of a group that has no members; -1 forgets one.
func (c *Client) ResetOffsets(group string, offsets []*api.GroupOffset, timeout env.Time, done func(Result)) {
	request := &api.ResetOffsetsRequest{Shard: &api.TopicRef{Name: api.GroupsTopic}, Group: group, Offsets: offsets}
	c.startGroup(group, offsetTexts(offsets), &operation{
		request: &api.Request{Body: &api.Request_ResetOffsets{ResetOffsets: request}},
		effect:  repeatable, ref: request.Shard, done: done,
	}, timeout)
}

// DeleteGroup deletes a group that has no members, with its offsets. After a doubt it is
// tried again, and may then meet a group of the name that was made since, if nobody has
// joined that either.
func (c *Client) DeleteGroup(group string, timeout env.Time, done func(Result)) {
	request := &api.DeleteGroupRequest{Shard: &api.TopicRef{Name: api.GroupsTopic}, Group: group}
	c.startGroup(group, nil, &operation{
		request: &api.Request{Body: &api.Request_DeleteGroup{DeleteGroup: request}},
		effect:  repeatable, ref: request.Shard, done: done,
	}, timeout)
}

// DescribeGroup asks for a group's members and offsets. The answer is in Response.
func (c *Client) DescribeGroup(group string, timeout env.Time, done func(Result)) {
	request := &api.DescribeGroupRequest{Shard: &api.TopicRef{Name: api.GroupsTopic}, Group: group}
	c.startGroup(group, nil, &operation{
		request: &api.Request{Body: &api.Request_DescribeGroup{DescribeGroup: request}},
		effect:  harmless, ref: request.Shard, done: done,
	}, timeout)
}

// ListGroups asks every coordinator, one after the other, for its groups. The answer, by
// name, is in Response; it is of no single moment.
func (c *Client) ListGroups(timeout env.Time, done func(Result)) {
	if timeout <= 0 {
		timeout = c.config.OperationTimeout
	}
	l := &listing{client: c, deadline: c.clock.Now() + timeout, all: &api.ListGroupsResponse{}, done: done}
	l.ask(0)
}

// listing is a ListGroups on its way through the shards.
type listing struct {
	client   *Client
	deadline env.Time
	attempts int
	// shards there are, 0 before that is known.
	shards int
	all    *api.ListGroupsResponse
	done   func(Result)
}

func (l *listing) ask(shard api.Partition) {
	request := &api.ListGroupsRequest{Shard: &api.TopicRef{Name: api.GroupsTopic}, Partition: int32(shard)}
	l.client.start(&operation{
		request: &api.Request{Body: &api.Request_ListGroups{ListGroups: request}},
		effect:  harmless, target: targetPartition, ref: request.Shard, partition: shard,
		done: func(r Result) { l.answered(shard, r) },
	}, max(1, l.deadline-l.client.clock.Now()))
}

func (l *listing) answered(shard api.Partition, r Result) {
	l.attempts += r.Attempts
	r.Attempts = l.attempts
	if r.Err != nil {
		l.done(r)
		return
	}
	if t := l.client.cluster.topics[api.GroupsTopic]; t != nil {
		l.shards = max(l.shards, len(t.partitions))
	}
	if l.shards == 0 {
		// Another operation has just found that what was known of the topic is old.
		l.ask(shard)
		return
	}
	l.all.Groups = append(l.all.Groups, r.Response.GetListGroups().Groups...)
	if int(shard)+1 < l.shards {
		l.ask(shard + 1)
		return
	}
	slices.SortStableFunc(l.all.Groups, func(a, b *api.GroupSummary) int { return cmp.Compare(a.GetGroup(), b.GetGroup()) })
	r.Response = &api.Response{Body: &api.Response_ListGroups{ListGroups: l.all}}
	l.done(r)
}

// startGroup admits an operation of a group's coordinator.
func (c *Client) startGroup(group string, texts []string, o *operation, timeout env.Time) {
	if err := checkGroup(group, texts...); err != nil {
		c.refuse(o.done, err)
		return
	}
	o.target, o.group = targetPartition, group
	c.start(o, timeout)
}

// checkGroup says what is wrong with the name of a group, or with other texts that have
// to be UTF-8 for a message to carry them.
func checkGroup(group string, texts ...string) *api.Error {
	if group == "" || len(group) > maxGroupName || !utf8.ValidString(group) {
		return api.Errorf(api.Code_INVALID_REQUEST, "%+q cannot name a group: a name is UTF-8 of 1 to %d bytes", group, maxGroupName)
	}
	for _, text := range texts {
		if !utf8.ValidString(text) {
			return api.Errorf(api.Code_INVALID_REQUEST, "%+q cannot stand in a request about group %q: it is not UTF-8", text, group)
		}
	}
	return nil
}

func partitionNames(list []*api.GroupPartition) []string {
	var names []string
	for _, p := range list {
		names = append(names, p.GetTopic())
	}
	return names
}

func offsetTexts(list []*api.GroupOffset) []string {
	var texts []string
	for _, o := range list {
		texts = append(texts, o.GetPartition().GetTopic(), o.GetMetadata())
	}
	return texts
}
