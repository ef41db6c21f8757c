package core

import (
	"maps"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// topic gives the place for what is known of a topic, nil if there are too many.
func (c *Client) topic(name string) *topic {
	if t := c.cluster.topics[name]; t != nil {
		return t
	}
	if len(c.cluster.topics) >= maxTopics {
		c.forgetTopics()
	}
	if len(c.cluster.topics) >= maxTopics {
		return nil
	}
	t := &topic{name: name}
	c.cluster.topics[name] = t
	return t
}

// forgetTopics drops the topics that nobody waits for and nothing is written to.
func (c *Client) forgetTopics() {
	used := map[string]bool{}
	for key := range sortedLanes(c.lanes) {
		used[key.topic] = true
	}
	for _, name := range slices.Sorted(maps.Keys(c.cluster.topics)) {
		if t := c.cluster.topics[name]; !used[name] && !t.refreshing {
			delete(c.cluster.topics, name)
		}
	}
}

// await calls then once the topic was looked up at the meta leader. It is told
// whether that look-up began after this call, so that "no such topic" is news.
func (c *Client) await(t *topic, then func(confirmed bool)) {
	if t.refreshing {
		t.later = append(t.later, then)
		return
	}
	t.waiters = append(t.waiters, then)
	c.refresh(t, true)
}

// refresh asks for a topic's id and leaders, unless that is under way.
func (c *Client) refresh(t *topic, linearizable bool) { c.lookUp(t, linearizable, "") }

// freshen asks a node that has just answered, which is thus one of the cluster,
// what there is now, if that was not heard for a while. A client that is told of no
// error would otherwise know only nodes that have long been replaced.
func (c *Client) freshen(name string, at env.Endpoint) {
	t, now := c.cluster.topics[name], c.clock.Now()
	if t == nil || now < c.cluster.staleAt {
		return
	}
	c.cluster.staleAt = now + clusterAge
	c.lookUp(t, false, at)
}

// keepUp has a client that is not at work ask now and then what nodes there are: once all
// that it had heard of are replaced it would find nobody.
func (c *Client) keepUp() {
	now := c.clock.Now()
	c.timers.set(&c.news, now+idleAge)
	if now < c.cluster.staleAt+idleAge {
		return
	}
	var topics []*api.TopicRef // all
	for _, name := range slices.Sorted(maps.Keys(c.cluster.topics)) {
		if c.cluster.topics[name].id != 0 {
			topics = []*api.TopicRef{{Name: name}} // an answer names all nodes, whatever the topic
			break
		}
	}
	c.ask(topics, func(r Result) {
		if r.Err != nil && !r.Err.Code.Retriable() { // the topic is gone, or not for this client
			c.ask(nil, func(Result) {})
		}
	})
}

// ask makes an inquiry of the client's own, which is news of the cluster.
func (c *Client) ask(topics []*api.TopicRef, done func(Result)) {
	c.run(c.inquiry(&api.MetadataRequest{Topics: topics}, func(r Result) {
		if r.Err == nil {
			c.cluster.staleAt = c.clock.Now() + clusterAge
		}
		done(r)
	}), clusterAge)
}

// lookUp asks one node first, any if it is "".
func (c *Client) lookUp(t *topic, linearizable bool, first env.Endpoint) {
	if t.refreshing {
		return
	}
	t.refreshing, t.linearizable = true, linearizable
	request := &api.MetadataRequest{Topics: []*api.TopicRef{{Name: t.name}}, Linearizable: linearizable}
	t.lookUp = &operation{
		request: &api.Request{Body: &api.Request_Metadata{Metadata: request}},
		effect:  harmless, redirect: first,
		done: func(r Result) { c.refreshed(t, r) },
	}
	c.run(t.lookUp, 0)
}

func (c *Client) refreshed(t *topic, r Result) {
	confirmed, doubted := false, false
	if t.linearizable {
		t.denied = nil
	}
	switch {
	case r.Err == nil:
		confirmed = t.linearizable
		c.cluster.staleAt = c.clock.Now() + clusterAge
		c.cluster.learn(r.Response.GetMetadata(), t.linearizable)
		found := slices.ContainsFunc(r.Response.GetMetadata().Topics, func(i *api.TopicInfo) bool { return i.Name == t.name })
		if confirmed && !found {
			t.forget(t.id)
		}
	case r.Err.Code == api.Code_UNKNOWN_TOPIC_OR_PARTITION:
		confirmed, doubted = t.linearizable, !t.linearizable
		if confirmed {
			t.forget(t.id)
		}
	case !r.Err.Code.Retriable() && t.linearizable:
		confirmed, t.denied = true, r.Err
	}
	t.refreshing = false
	waiters := t.waiters
	t.waiters, t.later = t.later, nil
	for _, then := range waiters {
		then(confirmed)
	}
	if doubted && t.id != 0 {
		// The node that was asked may be behind. But if it is not, all who had the topic may
		// be gone, and nobody else would ever say that it was deleted.
		c.refresh(t, true)
	}
	c.goOn(t)
}

// goOn answers those who came while a refresh was under way: from what is known
// now, or from a refresh of their own.
func (c *Client) goOn(t *topic) {
	if len(t.waiters) == 0 || t.refreshing {
		return
	}
	if t.id == 0 {
		c.refresh(t, true)
		return
	}
	waiters := t.waiters
	t.waiters = nil
	for _, then := range waiters {
		then(false)
	}
}

// heedPartition learns from the error of an attempt at a partition: who leads it,
// and whom to avoid.
func (c *Client) heedPartition(ref *api.TopicRef, number api.Partition, from env.Endpoint, err *api.Error) {
	k := c.cluster
	leader := api.NodeID(err.LeaderId)
	k.locate(leader, err.LeaderAddress)
	if !changesLeader(err.Code) {
		return
	}
	if silent(err.Code) || leader == 0 {
		k.avoid(from) // it does not know either
	}
	t := k.topics[ref.Name]
	p := t.partition(number)
	if p == nil || t.id != api.TopicID(ref.Id) {
		return
	}
	// Where no node is known by the leader's id, others were asked in its stead: it was
	// removed, and they may be too.
	if held, known := k.nodes[p.leader]; leader != 0 || held == from || !known {
		p.leader = leader
	}
	if p.leader == 0 {
		c.refresh(t, false)
	}
}

// heed learns from the error of an attempt at the meta group, or at any node.
func (k *cluster) heed(from env.Endpoint, err *api.Error) {
	leader := api.NodeID(err.LeaderId)
	k.locate(leader, err.LeaderAddress)
	if !changesLeader(err.Code) {
		return
	}
	if leader != 0 || k.nodes[k.metaLeader] == from {
		k.metaLeader = leader
	}
	if silent(err.Code) || leader == 0 {
		k.avoid(from)
	}
}

// changesLeader reports whether a code says that another node should be asked.
func changesLeader(code api.Code) bool {
	return code == api.Code_NOT_LEADER || code == api.Code_LEADERSHIP_LOST || silent(code)
}

// silent reports whether a code says that the node is of no use at present.
func silent(code api.Code) bool {
	switch code {
	case api.Code_TIMED_OUT, api.Code_DISCONNECTED, api.Code_SHUTTING_DOWN, api.Code_NOT_READY, api.Code_META_UNAVAILABLE:
		return true
	}
	return false
}
