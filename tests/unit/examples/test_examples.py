"""The tests among the examples, as a part of the unit tests."""

from examples.test_my_recipe import test_a_model_that_fails_is_left_out, test_each_model_reads_the_answers_before_it

__all__ = ["test_a_model_that_fails_is_left_out", "test_each_model_reads_the_answers_before_it"]
