package core

import (
	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// PutUser makes a user, or gives one another password. To make one is not tried again after
// a doubt, so that "it exists already" is never said of the operation's own user.
func (c *Client) PutUser(request *api.PutUserRequest, timeout env.Time, done func(Result)) {
	o := &operation{
		request: &api.Request{Body: &api.Request_PutUser{PutUser: request}},
		effect:  repeatable, target: targetMeta, done: done,
	}
	if request.Create {
		o.effect = once
	}
	c.startChecked(access.CheckUserName(request.Name), o, timeout)
}

// DeleteUser deletes a user.
func (c *Client) DeleteUser(name string, timeout env.Time, done func(Result)) {
	c.startChecked(access.CheckUserName(name), &operation{
		request: &api.Request{Body: &api.Request_DeleteUser{DeleteUser: &api.DeleteUserRequest{Name: name}}},
		effect:  repeatable, target: targetMeta, done: done,
	}, timeout)
}

// DescribeUsers asks who there is. The answer is in Response.
func (c *Client) DescribeUsers(timeout env.Time, done func(Result)) {
	c.start(&operation{
		request: &api.Request{Body: &api.Request_DescribeUsers{DescribeUsers: &api.DescribeUsersRequest{}}},
		effect:  harmless, done: done,
	}, timeout)
}

// CreateAcls adds ACLs, all or none.
func (c *Client) CreateAcls(list []*api.Acl, timeout env.Time, done func(Result)) {
	c.startChecked(checkAcls(list, access.Rule.Check), &operation{
		request: &api.Request{Body: &api.Request_CreateAcls{CreateAcls: &api.CreateAclsRequest{Acls: list}}},
		effect:  repeatable, target: targetMeta, done: done,
	}, timeout)
}

// DeleteAcls deletes every ACL that a filter fits. After a doubt it is tried again, and then
// those that went before are not in Response.
func (c *Client) DeleteAcls(filters []*api.Acl, timeout env.Time, done func(Result)) {
	c.startChecked(checkAcls(filters, access.Rule.CheckFilter), &operation{
		request: &api.Request{Body: &api.Request_DeleteAcls{DeleteAcls: &api.DeleteAclsRequest{Filters: filters}}},
		effect:  repeatable, target: targetMeta, done: done,
	}, timeout)
}

// DescribeAcls asks for the ACLs that a filter fits. The answer is in Response.
func (c *Client) DescribeAcls(filter *api.Acl, timeout env.Time, done func(Result)) {
	c.startChecked(access.RuleOf(filter).CheckFilter(), &operation{
		request: &api.Request{Body: &api.Request_DescribeAcls{DescribeAcls: &api.DescribeAclsRequest{Filter: filter}}},
		effect:  harmless, done: done,
	}, timeout)
}

// startChecked admits an operation with which nothing is wrong. What is wrong may be a text
// that no message can carry.
func (c *Client) startChecked(wrong *api.Error, o *operation, timeout env.Time) {
	if wrong != nil {
		c.refuse(o.done, wrong)
		return
	}
	c.start(o, timeout)
}

func checkAcls(list []*api.Acl, check func(access.Rule) *api.Error) *api.Error {
	for _, a := range list {
		if err := check(access.RuleOf(a)); err != nil {
			return err
		}
	}
	return nil
}

// fitsAccess is fits for requests about users and ACLs.
func fitsAccess(request *api.Request, response *api.Response) bool {
	switch request.Body.(type) {
	case *api.Request_PutUser:
		return response.GetPutUser() != nil
	case *api.Request_DeleteUser:
		return response.GetDeleteUser() != nil
	case *api.Request_DescribeUsers:
		return response.GetDescribeUsers() != nil
	case *api.Request_CreateAcls:
		return response.GetCreateAcls() != nil
	case *api.Request_DeleteAcls:
		return response.GetDeleteAcls() != nil
	case *api.Request_DescribeAcls:
		return response.GetDescribeAcls() != nil
	}
	return false
}
