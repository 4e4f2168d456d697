"""The general corpus: real texts of many kinds out of installable packages, and the models that embed them."""
