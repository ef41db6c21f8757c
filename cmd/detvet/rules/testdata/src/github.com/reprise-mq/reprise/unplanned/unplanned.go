// Package unplanned has no floor.
package unplanned // want `package unplanned has no floor: give it one`
