"""The mutations of `make mutations` still fit the product."""

import pytest

from tests.mutations import MUTATIONS, ROOT


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_what_a_mutation_changes_is_there_once(mutation):
    assert (ROOT / mutation.file).read_text("utf-8").count(mutation.old) == 1
