"""The port ``Entitlements``, reduced to the accounts that the applied file lists."""

from collections.abc import Callable, Collection, Mapping, Sequence

from chalicelib.engine.faults import Fault
from chalicelib.sharing.ports import Judgement
from chalicelib.sharing.share import Share

NOT_LISTED = "The applied targets file does not contain this account; nothing is shared with it."
NOT_LISTED_CURE = "Add it to the file and apply it, then tag the AMI again; or leave it out of the tag's value."


class ListedOnly:
    """The port ``Entitlements`` by the applied file alone: an account that it contains may receive anything (invariant
    8).

    ``listed`` returns which of the given accounts the file contains.
    """

    def __init__(self, listed: Callable[[Collection[str]], Collection[str]]) -> None:
        self._listed = listed

    def ends(self, _resource: str, shares: Sequence[Share]) -> Mapping[str, int]:
        """See the port. No share's end is prolonged."""
        return {s.share_name: 0 for s in shares}

    def judge(self, resource: str, shares: Sequence[Share], _has_time: Callable[[], bool] = lambda: True) -> Judgement:
        listed = self._listed({s.account for s in shares})
        refused = {
            s.share_name: Fault("account-not-listed", f"account {s.account}", NOT_LISTED, NOT_LISTED_CURE)
            for s in shares
            if s.account not in listed
        }
        return Judgement(refused)
