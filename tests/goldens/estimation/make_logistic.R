# Golden values of g-computation: run `Rscript make_logistic.R` in this folder. R 4.2, sandwich.
suppressPackageStartupMessages(library(sandwich))
options(digits = 17)
set.seed(20250313)
cars <- data.frame(y = mtcars$vs, z = mtcars$am, w = mtcars$wt)
n <- 150
made <- data.frame(x = rnorm(n), v = rexp(n), z = sample(rep(0:1, c(90, 60))))
made$y <- rbinom(n, 1, plogis(-.5 + made$x - .6 * made$v + .8 * made$z))
write.csv(made, "data_binary.csv", row.names = FALSE)
write.csv(cars, "data_cars.csv", row.names = FALSE)
row <- function(case, data, d, formula, covariates) {
  fit <- glm(formula, binomial, d, control = glm.control(epsilon = 1e-14, maxit = 100))
  p <- lapply(1:0, function(arm) { d$z <- arm; predict(fit, d, type = "response") })
  X <- lapply(1:0, function(z) { m <- model.matrix(fit); m[, "z"] <- z; m })
  rd <- mean(p[[1]] - p[[2]])
  g <- colMeans(X[[1]] * p[[1]] * (1 - p[[1]])) - colMeans(X[[2]] * p[[2]] * (1 - p[[2]]))
  influence <- p[[1]] - p[[2]] - rd + estfun(fit) %*% bread(fit) %*% g
  n <- nrow(d); k <- length(coef(fit)); se <- sqrt(sum(influence^2)) / n * sqrt(n / (n - k))
  data.frame(case, data, covariates, estimate = rd, std_error = se, df = n - k,
             p_value = 2 * pt(-abs(rd / se), n - k), conf_low = rd - qt(.975, n - k) * se,
             conf_high = rd + qt(.975, n - k) * se)
}
write.csv(rbind(row("cars", "cars", cars, y ~ w + z, "w"), row("two", "binary", made, y ~ x + v + z, "x v"),
                row("none", "binary", made, y ~ z, "")), "logistic.csv", row.names = FALSE)
